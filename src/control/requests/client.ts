import { connect } from 'node:net'
import { EXIT, Failure } from '../../failure.ts'
import type { Op, Response, Results } from './protocol.ts'
import type { Request } from './requests.ts'

/** A reload loads a policy and rewrites the firewall: that takes some tenths of a second. */
const PATIENCE_MS = 15_000

/**
 * Asks the daemon behind the socket at `path`.
 *
 * @throws Failure (unavailable) if no daemon answers, (noPermission) if this user may not ask, or what the
 * daemon refused the request with.
 */
export async function ask<O extends Op>(
  path: string,
  request: Extract<Request, { op: O }>,
): Promise<Results[O]> {
  const line = await exchange(path, `${JSON.stringify(request)}\n`)
  const response = JSON.parse(line) as Response<Results[O]>
  if (response.ok) return response.result
  throw new Failure(response.status, response.message, response.remedy)
}

function exchange(path: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.write(request))
    let answer = ''
    const fail = (code: string | undefined) => {
      socket.destroy()
      reject(unanswered(path, code))
    }
    socket.setEncoding('utf8')
    socket.setTimeout(PATIENCE_MS, () => fail('ETIMEDOUT'))
    socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code))
    socket.on('data', (text: string) => {
      answer += text
      if (text.includes('\n')) socket.destroy()
    })
    socket.on('close', () => (answer.endsWith('\n') ? resolve(answer) : fail('ECONNRESET')))
  })
}

function unanswered(path: string, code: string | undefined): Failure {
  if (code === 'EACCES' || code === 'EPERM') {
    const remedy = 'run it as root, or as a member of the group that control.group names (sluice)'
    return new Failure(EXIT.noPermission, `this user may not use ${path}`, remedy)
  }
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    const remedy = 'start it with "systemctl start sluice" or "npm start"; --socket PATH names another one'
    return new Failure(EXIT.unavailable, `no daemon answers on ${path}`, remedy)
  }
  return new Failure(EXIT.unavailable, `the daemon on ${path} has not answered: ${code ?? 'no reason given'}`)
}
