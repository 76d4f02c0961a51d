import { type ChildProcess, execFileSync } from 'node:child_process'
import { chmodSync, chownSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { eventually } from './eventually.ts'
import type { Host } from './lab.ts'
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
    for (const name of ['spool', 'data', 'sasl']) mkdirSync(this.#scratch.path(name))
    const [uid = 0, gid = 0] = ['-u', '-g'].map((flag) =>
      Number(execFileSync('id', [flag, 'postfix'], { encoding: 'utf8' })),
    )
    chownSync(this.#scratch.path('data'), uid, gid)
    writeFileSync(this.#scratch.path('main.cf'), [mainConfig(directory), ...settings, ''].join('\n'))
    writeFileSync(this.#scratch.path('resolv.conf'), `nameserver ${resolver}\n`)
    writeFileSync(this.#scratch.path('master.cf'), SERVICES)
    writeFileSync(this.#scratch.path('sasl/smtpd.conf'), saslConfig(directory))
    const users = this.#scratch.path('sasldb2')
    execFileSync('saslpasswd2', ['-p', '-c', '-f', users, '-u', 'example.test', 'alice'], { input: 'right' })
    chownSync(users, uid, gid)
    chmodSync(users, 0o600)
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

function mainConfig(directory: string): string {
  return `
compatibility_level = 3.6
queue_directory = ${directory}/spool
data_directory = ${directory}/data
maillog_file = /dev/stdout
myhostname = mail.example.test
mydestination = example.test
local_recipient_maps =
inet_protocols = all
alias_maps =
alias_database =
# There is no DNS here.
smtpd_peername_lookup = no
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = example.test
cyrus_sasl_config_path = ${directory}/sasl
smtpd_recipient_restrictions = reject_unauth_destination
# So few wrong passwords a connection: hydra has to come back.
smtpd_hard_error_limit = 3
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
`
}

/** Nothing runs in a chroot. */
const SERVICES = `
smtp       inet n - n - - smtpd
submission inet n - n - - smtpd
cleanup    unix n - n - 0 cleanup
qmgr       unix n - n 300 1 qmgr
rewrite    unix - - n - - trivial-rewrite
bounce     unix - - n - 0 bounce
defer      unix - - n - 0 bounce
anvil      unix - - n - 1 anvil
proxymap   unix - - n - - proxymap
discard    unix - - n - - discard
postlog    unix-dgram n - n - 1 postlogd
`

function saslConfig(directory: string): string {
  return `
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: ${directory}/sasldb2
mech_list: PLAIN LOGIN
`
}
