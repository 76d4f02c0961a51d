import { execFile } from 'node:child_process'

/** A tool of the host failed, took too long, or is not there. */
export class ToolError extends Error {
  readonly command: string
  readonly stderr: string
  /** The tool is not installed. */
  readonly isMissing: boolean

  constructor(command: string, cause: ExecError, stderr: string) {
    super(`${command} failed: ${cause.killed ? NO_ANSWER : stderr.trim() || cause.message}`, { cause })
    this.name = 'ToolError'
    this.command = command
    this.stderr = stderr.trim()
    this.isMissing = cause.code === 'ENOENT'
  }
}

type ExecError = Error & { code?: string | number | null; killed?: boolean }

/** Fixed, so that whoever starts sluice cannot choose the tools; sbin, since cron and sudo may leave it out. */
const PATH = '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin'
const TIMEOUT_MS = 10_000
const NO_ANSWER = `no end after ${TIMEOUT_MS / 1000} s`
const OUTPUT_MAX_BYTES = 16 * 1024 * 1024

/**
 * Runs a tool without a shell, with `input` on standard input, for 10 s at most.
 *
 * @returns its standard output.
 * @throws ToolError on a non-zero exit, a timeout, or when it is not installed.
 */
export function runTool(command: string, args: readonly string[], input = ''): Promise<string> {
  const options = {
    env: { PATH, LC_ALL: 'C' },
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: OUTPUT_MAX_BYTES,
  } as const
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new ToolError(command, error, stderr))
    })
    // A tool that gives up early closes its input: its exit status says why, EPIPE does not.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}
