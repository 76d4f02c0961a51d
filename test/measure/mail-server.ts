import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { eventually } from '../lib/eventually.ts'
import type { Host } from '../lib/lab.ts'
import { addMailUser, writePostfix } from '../lib/postfix-files.ts'
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
    this.#makeCertificate(options)
    writePostfix(this.#scratch, settings(directory, options), PORTS)
    if (options.sasl === 'dovecot') this.#startDovecot(host)
    else addMailUser(this.#scratch, this.password)
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

  #startDovecot(host: Host): void {
    const { directory } = this.#scratch
    writeFileSync(this.#scratch.path('dovecot.conf'), dovecotConfig(directory, this.password))
    host.spawn('dovecot', ['-F', '-c', this.#scratch.path('dovecot.conf')], { stdio: 'ignore' })
  }
}

function settings(directory: string, { sasl, options }: MailServerOptions): string[] {
  return [
    'local_transport = discard',
    'default_transport = discard',
    'smtpd_client_port_logging = yes',
    `smtpd_sasl_type = ${sasl}`,
    `smtpd_sasl_path = ${sasl === 'dovecot' ? `${directory}/auth` : 'smtpd'}`,
    'smtpd_tls_security_level = may',
    'smtpd_tls_auth_only = no',
    `smtpd_tls_cert_file = ${directory}/chain.pem`,
    `smtpd_tls_key_file = ${directory}/tls.key`,
    ...options,
  ]
}

/** As Debian's master.cf has them. */
const PORTS = [
  'smtp       inet n - n - - smtpd',
  'submission inet n - n - - smtpd',
  '  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject',
  'submissions inet n - n - - smtpd',
  '  -o smtpd_tls_wrappermode=yes',
  '  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject',
]

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
