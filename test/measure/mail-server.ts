import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { eventually } from '../lib/eventually.ts'
import type { Host } from '../lib/lab.ts'
import type { Scratch } from '../lib/scratch.ts'

/** How a mail server is set up. */
export interface MailServerOptions {
  /** Who checks passwords. Dovecot waits two seconds after a wrong one. */
  readonly sasl: 'cyrus' | 'dovecot'
  /** Of the certificate, as `openssl req -newkey` has it. */
  readonly key: string
  /** How many further certificates come with it. */
  readonly chain: number
  /** More lines of main.cf. */
  readonly options: readonly string[]
}

/**
 * Postfix on the ports 25, 465 and 587 of a host, with TLS. It knows alice with the password "right", and
 * takes mail for example.test on port 25, for anybody who has logged in elsewhere.
 */
export class MailServer {
  readonly password = 'right'
  readonly #scratch: Scratch

  private constructor(host: Host, options: MailServerOptions) {
    this.#scratch = host.scratch()
    const { directory } = this.#scratch
    const file = (name: string) => this.#scratch.path(name)
    for (const name of ['spool', 'spool/private', 'data', 'sasl']) mkdirSync(file(name))
    const [uid, gid] = idsOf('postfix')
    for (const name of ['data', 'spool/private']) chownSync(file(name), uid, gid)
    this.#makeCertificate(options)
    writeFileSync(file('main.cf'), mainConfig(directory, options))
    writeFileSync(file('master.cf'), SERVICES)
    if (options.sasl === 'dovecot') this.#startDovecot(host)
    else this.#makeUsers()
    const log = openSync(file('log'), 'w')
    host.spawn('postfix', ['-c', directory, 'start-fg'], { stdio: ['ignore', log, log], detached: true })
    closeSync(log)
  }

  /** Resolves when it listens. */
  static async start(host: Host, options: MailServerOptions): Promise<MailServer> {
    const server = new MailServer(host, options)
    await eventually('Postfix listens', async () => {
      const { stdout } = await host.attempt('ss', '-Hltn', '( sport = :25 or sport = :465 or sport = :587 )')
      return stdout.split('\n').filter(Boolean).length >= 6
    })
    return server
  }

  log(): string {
    return readFileSync(this.#scratch.path('log'), 'utf8')
  }

  #makeCertificate({ key, chain }: MailServerOptions): void {
    const file = (name: string) => this.#scratch.path(name)
    const make = (name: string, subject: string) =>
      execFileSync(
        'openssl',
        [
          'req',
          '-x509',
          '-nodes',
          '-newkey',
          ...key.split(' '),
          '-days',
          '90',
          '-subj',
          subject,
          '-keyout',
          file(`${name}.key`),
          '-out',
          file(`${name}.crt`),
        ],
        { stdio: 'ignore' },
      )
    make('tls', '/CN=mail.example.test')
    const names = Array.from({ length: chain }, (_, i) => `ca${i}`)
    for (const name of names) make(name, `/C=XX/O=Example Trust Services/CN=Example Issuing ${name}`)
    writeFileSync(
      file('chain.pem'),
      ['tls', ...names].map((name) => readFileSync(file(`${name}.crt`), 'utf8')).join(''),
    )
  }

  #makeUsers(): void {
    const file = (name: string) => this.#scratch.path(name)
    writeFileSync(
      file('sasl/smtpd.conf'),
      `pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: ${file('sasldb2')}\nmech_list: PLAIN LOGIN\n`,
    )
    execFileSync('saslpasswd2', ['-p', '-c', '-f', file('sasldb2'), '-u', 'example.test', 'alice'], {
      input: this.password,
    })
    chownSync(file('sasldb2'), ...idsOf('postfix'))
    chmodSync(file('sasldb2'), 0o600)
  }

  #startDovecot(host: Host): void {
    const { directory } = this.#scratch
    writeFileSync(this.#scratch.path('dovecot.conf'), dovecotConfig(directory, this.password))
    host.spawn('dovecot', ['-F', '-c', this.#scratch.path('dovecot.conf')], { stdio: 'ignore' })
  }
}

function idsOf(user: string): [uid: number, gid: number] {
  const [uid = 0, gid = 0] = ['-u', '-g'].map((flag) =>
    Number(execFileSync('id', [flag, user], { encoding: 'utf8' })),
  )
  return [uid, gid]
}

function mainConfig(directory: string, { sasl, options }: MailServerOptions): string {
  return `
compatibility_level = 3.6
queue_directory = ${directory}/spool
data_directory = ${directory}/data
maillog_file = /dev/stdout
myhostname = mail.example.test
mydestination = example.test
local_recipient_maps =
local_transport = discard
default_transport = discard
inet_protocols = all
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtpd_client_port_logging = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = ${sasl}
smtpd_sasl_path = ${sasl === 'dovecot' ? `${directory}/auth` : 'smtpd'}
smtpd_sasl_local_domain = example.test
cyrus_sasl_config_path = ${directory}/sasl
smtpd_tls_security_level = may
smtpd_tls_auth_only = no
smtpd_tls_cert_file = ${directory}/chain.pem
smtpd_tls_key_file = ${directory}/tls.key
smtpd_client_connection_count_limit = 0
${options.join('\n')}
`
}

/** As Debian's master.cf has them. Nothing runs in a chroot. */
const SERVICES = `
smtp       inet n - n - - smtpd
submission inet n - n - - smtpd
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
submissions inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
cleanup    unix n - n - 0 cleanup
qmgr       unix n - n 300 1 qmgr
tlsmgr     unix - - n 1000? 1 tlsmgr
rewrite    unix - - n - - trivial-rewrite
bounce     unix - - n - 0 bounce
defer      unix - - n - 0 bounce
anvil      unix - - n - 1 anvil
proxymap   unix - - n - - proxymap
discard    unix - - n - - discard
postlog    unix-dgram n - n - 1 postlogd
`

function dovecotConfig(directory: string, password: string): string {
  return `
protocols =
ssl = no
disable_plaintext_auth = no
base_dir = ${directory}/run
state_dir = ${directory}/state
log_path = ${directory}/dovecot-log
auth_mechanisms = plain login
passdb {
  driver = static
  args = password=${password}
}
userdb {
  driver = static
  args = uid=65432 gid=65432 home=/
}
service auth {
  unix_listener ${directory}/auth {
    mode = 0666
  }
}
# Else it would wait ever longer: the same address is at it again.
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`
}
