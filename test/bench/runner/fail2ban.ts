import { cpSync, writeFileSync } from 'node:fs'
import { eventually } from '../../lib/eventually.ts'
import type { Host } from '../../lib/lab.ts'
import { Scratch } from '../../lib/scratch.ts'
import type { Sshd } from '../../lib/sshd.ts'

/** How it learns of new lines: at once, or by looking each second. */
type Backend = 'pyinotify' | 'polling'

/** Debian's filters and actions, and its jail for SSH: five failures within ten minutes. */
const JAIL = (log: string, backend: Backend) => `
[DEFAULT]
backend = ${backend}
banaction = iptables-ipset
[sshd]
enabled = true
logpath = ${log}
port = 22
datepattern = {NONE}
`

/** fail2ban in the namespace of a server, told of an sshd's log. */
export class Fail2ban {
  readonly #scratch = new Scratch()
  readonly #close: () => void

  private constructor(server: Host, sshd: Sshd, backend: Backend) {
    const [directory, log] = [this.#scratch.path('config'), this.#scratch.path('auth.log')]
    cpSync('/etc/fail2ban', directory, { recursive: true })
    writeFileSync(`${directory}/jail.d/bench.local`, JAIL(log, backend))
    // Its memory of earlier rounds, and the machine's own.
    writeFileSync(`${directory}/fail2ban.local`, '[Definition]\ndbfile = None\n')
    writeFileSync(log, '')
    // syslog would put the program's name in front; the filter asks for it.
    const follow = `tail -n +1 -F ${sshd.logFile} | sed -u 's/^/sshd[1]: /' >>${log}`
    const syslog = server.spawn('sh', ['-c', follow], { stdio: 'ignore', detached: true })
    const [socket, pid] = [this.#scratch.path('socket'), this.#scratch.path('pid')]
    const flags = ['-xf', '-c', directory, '-s', socket, '-p', pid, '--logtarget', this.#scratch.path('log')]
    const daemon = server.spawn('fail2ban-server', [...flags, 'start'], { stdio: 'ignore' })
    this.#close = () => {
      process.kill(-syslog.pid!, 'SIGKILL')
      daemon.kill('SIGKILL')
    }
  }

  /** Resolves when its jail watches. */
  static async start(server: Host, sshd: Sshd, backend: Backend = 'pyinotify'): Promise<Fail2ban> {
    const fail2ban = new Fail2ban(server, sshd, backend)
    const jail = ['-s', fail2ban.#scratch.path('socket'), 'status', 'sshd']
    await eventually(
      'fail2ban watches',
      async () => (await server.attempt('fail2ban-client', ...jail)).status === 0,
    )
    return fail2ban
  }

  close(): void {
    this.#close()
    this.#scratch.close()
  }
}
