import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
} from 'node:fs'
import { connect, type Server } from 'node:net'
import { dirname } from 'node:path'
import { EXIT, Failure } from '../../failure.ts'
import { NetlinkError } from '../../kernel/netlink-error.ts'
import type { Log } from '../log/log.ts'
import { createLineServer } from './line-server.ts'
import { REQUEST_BYTES_MAX, type Response } from './protocol.ts'
import { parseRequest, type Request } from './requests.ts'
import { groupId } from './unix-group.ts'

const CLIENTS_MAX = 16
const IDLE_MS = 10_000
/** Owner and group may ask, nobody else. */
const MODE = 0o660

export interface ControlSocketOptions {
  readonly path: string
  readonly group: string
  readonly handle: (request: Request) => Promise<unknown>
  readonly log: Log
}

/**
 * Listens for requests of the CLI. Returns the function that closes the socket and removes its file.
 *
 * @throws Failure (inUse) if a daemon answers there already, (osError, noPermission) if it cannot be made.
 */
export async function openControlSocket(options: ControlSocketOptions): Promise<() => void> {
  const { path, group, log } = options
  await removeStale(path)
  const madeDirectory = makeDirectory(dirname(path))
  const server = createLineServer({
    answer: (line) => answer(line, options),
    tooLong: serialize(refusal(`a request is at most ${REQUEST_BYTES_MAX} bytes long`)),
    tooMany: serialize({
      ok: false,
      status: EXIT.inUse,
      message: `${CLIENTS_MAX} clients are connected to the control socket already`,
      remedy: 'try again in some seconds',
    }),
    lineBytesMax: REQUEST_BYTES_MAX,
    clientsMax: CLIENTS_MAX,
    idleMs: IDLE_MS,
  })
  await listen(server, path)
  const gid = groupId(readFileSync('/etc/group', 'utf8'), group)
  if (gid === undefined)
    log.info('no-control-group', `there is no group "${group}": only root may use ${path}`)
  // The unit gives us the group, and takes the system call.
  else if (lstatSync(path).gid !== gid) chownSync(path, -1, gid)
  chmodSync(path, MODE)
  return () => {
    server.close()
    rmSync(path, { force: true })
    if (madeDirectory) rmdirSync(dirname(path))
  }
}

async function answer(
  line: string,
  { handle, log }: ControlSocketOptions,
): Promise<{ line: string; isLast: boolean }> {
  const request = parseRequest(line)
  if (typeof request === 'string') return { line: serialize(refusal(request)), isLast: true }
  try {
    return { line: serialize({ ok: true, result: await handle(request) }), isLast: false }
  } catch (error) {
    const { status, message, remedy } = toFailure(error, request, log)
    const response: Response = { ok: false, status, message, ...(remedy === undefined ? {} : { remedy }) }
    return { line: serialize(response), isLast: false }
  }
}

function toFailure(error: unknown, { op }: Request, log: Log): Failure {
  if (error instanceof Failure) return error
  if (error instanceof NetlinkError) return new Failure(EXIT.osError, error.message)
  log.error('request-failed', `${op}: ${(error as Error).stack}`)
  return new Failure(EXIT.software, 'a defect in sluice: its log says more')
}

function refusal(message: string): Response {
  return { ok: false, status: EXIT.usage, message }
}

function serialize(response: Response): string {
  return JSON.stringify(response)
}

/** A daemon that was killed leaves its socket behind; one that lives answers. */
async function removeStale(path: string): Promise<void> {
  if (!existsSync(path)) return
  if (!lstatSync(path).isSocket()) {
    throw new Failure(
      EXIT.osError,
      `${path} is in the way: it is not a socket`,
      'remove it, or set control.socket',
    )
  }
  if (await answers(path)) {
    throw new Failure(
      EXIT.inUse,
      `another sluice is running: it answers on ${path}`,
      'stop it first ("systemctl stop sluice"), or look at it with "sluice status"',
    )
  }
  rmSync(path)
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const done = (isAlive: boolean) => {
      socket.destroy()
      resolve(isAlive)
    }
    socket.once('connect', () => done(true)).once('error', () => done(false))
  })
}

/** Whether the directory had to be made; systemd makes it where RuntimeDirectory says so. */
function makeDirectory(directory: string): boolean {
  if (existsSync(directory)) return false
  try {
    mkdirSync(directory, { mode: 0o755 })
  } catch (error) {
    throw cannotListen(directory, error as NodeJS.ErrnoException)
  }
  return true
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(path, error)))
    server.listen(path, resolve)
  })
}

function cannotListen(path: string, error: NodeJS.ErrnoException): Failure {
  const status = error.code === 'EACCES' || error.code === 'EPERM' ? EXIT.noPermission : EXIT.osError
  return new Failure(
    status,
    `cannot make ${path}: ${error.code}`,
    'set control.socket to a path in a directory that exists',
  )
}
