import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { eventually } from './eventually.ts'
import type { Host } from './lab.ts'
import { addMailUser, writePostfix } from './postfix-files.ts'
import type { Scratch } from './scratch.ts'

/**
 * Postfix in the namespace of a host, with its own configuration, spool and users: it offers AUTH on the
 * ports 25 and 587, knows alice with the password "right", and takes mail for example.test.
 */
export class Postfix {
  readonly process: ChildProcess
  readonly #scratch: Scratch

  private constructor(host: Host, settings: readonly string[], resolver: string) {
    this.#scratch = host.scratch()
    const { directory } = this.#scratch
    writePostfix(this.#scratch, [...SETTINGS, ...settings], PORTS)
    addMailUser(this.#scratch, 'right')
    writeFileSync(this.#scratch.path('resolv.conf'), `nameserver ${resolver}\n`)
    const log = openSync(this.#scratch.path('log'), 'w')
    // `ip netns exec` has given this shell mounts of its own.
    const script = `mount --bind ${this.#scratch.path('resolv.conf')} /etc/resolv.conf && exec postfix -c ${directory} start-fg`
    this.process = host.spawn('sh', ['-c', script], {
      stdio: ['ignore', log, log],
      detached: true,
    })
    closeSync(log)
  }

  /**
   * Resolves when it listens on both ports.
   *
   * @param settings further lines of main.cf, which win. @param resolver whom it asks for names
   */
  static async start(host: Host, settings: readonly string[] = [], resolver = '127.0.0.1'): Promise<Postfix> {
    const postfix = new Postfix(host, settings, resolver)
    try {
      await eventually('Postfix listens', async () => {
        if (postfix.process.exitCode !== null) throw new Error(`Postfix has ended: ${postfix.log()}`)
        const { stdout } = await host.attempt('ss', '-Hltn', '( sport = :25 or sport = :587 )')
        return stdout.split('\n').filter(Boolean).length >= 2
      })
      return postfix
    } catch (error) {
      postfix.close()
      throw error
    }
  }

  /** What it has logged so far. */
  log(): string {
    return readFileSync(this.#scratch.path('log'), 'utf8')
  }

  close(): void {
    const { pid } = this.process
    if (pid !== undefined && this.process.exitCode === null) process.kill(-pid, 'SIGKILL')
    this.#scratch.close()
  }
}

const SETTINGS = [
  'smtpd_recipient_restrictions = reject_unauth_destination',
  // So few wrong passwords a connection: hydra has to come back.
  'smtpd_hard_error_limit = 3',
  'smtpd_error_sleep_time = 0',
]

const PORTS = ['smtp       inet n - n - - smtpd', 'submission inet n - n - - smtpd']
