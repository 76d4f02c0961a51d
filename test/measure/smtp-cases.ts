import type { Truth } from './session-rows.ts'
import type { SshContext } from './ssh-cases.ts'

export type Security = 'plain' | 'starttls' | 'tls'

/** Where an SMTP session goes. */
interface SmtpContext
  extends Pick<SshContext, 'address' | 'host' | 'temporary' | 'right' | 'wrong' | 'pick' | 'programs'> {
  readonly port: 25 | 465 | 587
  readonly security: Security
}

export interface SmtpCase {
  readonly name: string
  readonly truth: Truth
  /** Of those where mail comes in and out; by default both. */
  readonly ports?: readonly number[]
  readonly security?: readonly Security[]
  command(context: SmtpContext): string
}

/** Each word `WRONG` is another wrong password. */
function steps(name: string, truth: Truth, text: string, rest: Partial<SmtpCase> = {}): SmtpCase {
  return {
    name,
    truth,
    command: ({ programs, address, port, security, wrong, right }) => {
      const words = text.replaceAll('RIGHT', right).replace(/WRONG/g, wrong)
      return `/usr/bin/python3 -W ignore ${programs}/smtp.py ${address} ${port} ${security} ${words}`
    },
    ...rest,
  }
}

function words(context: SmtpContext, count: number): string {
  const list = Array.from({ length: count }, () => `'${context.wrong()}'`).join(' ')
  return `printf '%s\\n' ${list} > ${context.temporary('words')};`
}

function swaks({ host, port, security }: SmtpContext): string {
  const tls = { plain: '', starttls: '--tls', tls: '--tls-on-connect' }[security]
  return `swaks --server ${host} --port ${port} ${tls} --helo client.example.test --from a@client.example.test --to bob@example.test`
}

function curl({ host, port, security, temporary }: SmtpContext): string {
  const scheme = security === 'tls' ? 'smtps' : 'smtp'
  const tls = security === 'starttls' ? '--ssl-reqd' : ''
  const mail = temporary('mail')
  return (
    `printf '%s\\r\\n' ${MAIL.map((line) => `'${line}'`).join(' ')} > ${mail}; ` +
    `curl -sk ${tls} --mail-from a@client.example.test --mail-rcpt bob@example.test -T ${mail} '${scheme}://${host}:${port}/client.example.test'`
  )
}

function msmtp({ address, port, security, temporary }: SmtpContext, password: string): string {
  const tls = {
    plain: '--tls=off',
    starttls: '--tls=on --tls-starttls=on',
    tls: '--tls=on --tls-starttls=off',
  }[security]
  return (
    `printf '%s\\n' ${MAIL.map((line) => `'${line}'`).join(' ')} > ${temporary('mail')}; ` +
    `msmtp -C /dev/null --host=${address} --port=${port} ${tls} --tls-certcheck=off --auth=plain --user=alice ` +
    `--passwordeval="echo '${password}'" --from=a@client.example.test bob@example.test < ${temporary('mail')}`
  )
}

/** The least that a mail program sends: a few headers and a line. */
const MAIL = [
  'From: Alice Example <a@client.example.test>',
  'To: Bob Example <bob@example.test>',
  'Subject: lunch',
  'Date: Mon, 2 Nov 2026 12:00:00 +0100',
  'Message-ID: <1f0c5a7e-6f5b-4b5c-9d0e-2f3a4b5c6d7e@client.example.test>',
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=utf-8',
  'User-Agent: Example Mail',
  '',
  'See you at noon.',
]

const INCOMING = { ports: [25], security: ['plain', 'starttls'] } as const
const SUBMISSION = { ports: [465, 587] } as const

export const SMTP_CASES: readonly SmtpCase[] = [
  steps('connect and close', 'none', 'drop', { security: ['plain'] }),
  steps('QUIT', 'none', 'quit'),
  steps('EHLO, QUIT', 'none', ''),
  steps('EHLO, NOOP, wait', 'none', 'noop wait:2 noop'),
  steps('EHLO, lost', 'none', 'noop drop'),
  steps('VRFY', 'none', 'vrfy vrfy'),
  steps('relay refused 1', 'none', 'rcpt:1'),
  steps('relay refused 5', 'none', 'rcpt:5'),
  steps('AUTH PLAIN refused 1', 'failed', 'plain:WRONG'),
  steps('AUTH LOGIN refused 1', 'failed', 'login:WRONG'),
  steps('AUTH PLAIN refused 1, lost', 'failed', 'plain:WRONG drop'),
  steps('AUTH LOGIN refused 2', 'failed', 'login:WRONG login:WRONG'),
  steps('AUTH PLAIN refused 3', 'failed', 'plain:WRONG plain:WRONG plain:WRONG'),
  steps('AUTH LOGIN refused 3', 'failed', 'login:WRONG login:WRONG login:WRONG'),
  steps('AUTH LOGIN refused 8', 'failed', 'login:WRONG '.repeat(8)),
  steps('AUTH PLAIN refused 20', 'failed', 'plain:WRONG '.repeat(20)),
  steps('AUTH PLAIN', 'succeeded', 'plain:RIGHT'),
  steps('AUTH LOGIN', 'succeeded', 'login:RIGHT'),
  steps('AUTH PLAIN, small mail', 'succeeded', 'plain:RIGHT mail:700'),
  steps('AUTH LOGIN, small mail', 'succeeded', 'login:RIGHT mail:300'),
  steps('AUTH PLAIN, mail', 'succeeded', 'plain:RIGHT mail:20000'),
  steps('AUTH PLAIN, large mail', 'succeeded', 'plain:RIGHT mail:2000000'),
  steps('AUTH PLAIN, 3 mails', 'succeeded', 'plain:RIGHT mail:2000 mail:5000 mail:700'),
  steps('AUTH refused 1, then right, small mail', 'succeeded', 'plain:WRONG plain:RIGHT mail:700'),
  steps(
    'AUTH refused 3, then right, mail',
    'succeeded',
    'plain:WRONG login:WRONG plain:WRONG login:RIGHT mail:4000',
  ),
  steps('AUTH refused 2, then right', 'succeeded', 'login:WRONG plain:WRONG plain:RIGHT'),
  steps('delivery, small', 'succeeded', 'mail:500', INCOMING),
  steps('delivery', 'succeeded', 'mail:8000', INCOMING),
  steps('delivery, large', 'succeeded', 'mail:1000000', INCOMING),
  steps('delivery, 5 mails', 'succeeded', 'mail:900 mail:900 mail:2000 mail:900 mail:900', INCOMING),
  steps('delivery, then refused', 'succeeded', 'mail:900 rcpt:2', INCOMING),
  {
    name: 'swaks: AUTH refused',
    truth: 'failed',
    command: (c) =>
      `${swaks(c)} --auth ${c.pick(['PLAIN', 'LOGIN'])} --auth-user alice --auth-password '${c.wrong()}'`,
  },
  {
    name: 'swaks: AUTH and mail',
    truth: 'succeeded',
    command: (c) =>
      `${swaks(c)} --auth ${c.pick(['PLAIN', 'LOGIN'])} --auth-user alice --auth-password ${c.right}`,
  },
  { name: 'swaks: delivery', truth: 'succeeded', ...INCOMING, command: swaks },
  { name: 'swaks: up to EHLO', truth: 'none', command: (c) => `${swaks(c)} --quit-after EHLO` },
  { name: 'curl: AUTH refused', truth: 'failed', command: (c) => `${curl(c)} -u 'alice:${c.wrong()}'` },
  { name: 'curl: AUTH and mail', truth: 'succeeded', command: (c) => `${curl(c)} -u alice:${c.right}` },
  { name: 'curl: delivery', truth: 'succeeded', ...INCOMING, command: curl },
  { name: 'msmtp: AUTH refused', truth: 'failed', ...SUBMISSION, command: (c) => msmtp(c, c.wrong()) },
  { name: 'msmtp: AUTH and mail', truth: 'succeeded', ...SUBMISSION, command: (c) => msmtp(c, c.right) },
  {
    name: 'hydra',
    truth: 'failed',
    command: (c) => {
      const tls = { plain: '', starttls: '', tls: '-S' }[c.security]
      const options = c.security === 'starttls' ? '/TLS' : ''
      const family = c.address.includes(':') ? '-6' : ''
      return `${words(c, 10)} cd ${c.temporary('')} && timeout 25 hydra -I -q -l alice -P ${c.temporary('words')} -t ${c.pick([1, 4])} -w 3 -s ${c.port} ${tls} ${family} 'smtp://${c.host}:${c.port}${options}'`
    },
  },
  {
    name: 'medusa',
    truth: 'failed',
    security: ['plain', 'tls'],
    command: (c) =>
      `${words(c, 5)} timeout 25 medusa -h ${c.address} -n ${c.port} ${c.security === 'tls' ? '-s' : ''} -u alice -P ${c.temporary('words')} -M smtp`,
  },
]
