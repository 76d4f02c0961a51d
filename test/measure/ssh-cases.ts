import type { Truth } from './session-rows.ts'

/** What a case may use in its shell command, and what is chosen at random for each run. */
export interface SshContext {
  /** Of the server. */
  readonly address: string
  /** As in a URL: IPv6 in brackets. */
  readonly host: string
  /** Of the server's files: `key`, `other1`, `rsa`, `home/small` ... */
  file(name: string): string
  /** Of this run. */
  temporary(name: string): string
  readonly right: string
  /** A wrong password, another one each time. */
  wrong(): string
  pick<T>(items: readonly T[]): T
  readonly programs: string
}

export interface SshCase {
  readonly name: string
  readonly truth: Truth
  /** Run by sh in the client's namespace, for half a minute at most. */
  command(context: SshContext): string
}

const KEX = [
  '',
  '',
  '',
  '-o KexAlgorithms=curve25519-sha256',
  '-o KexAlgorithms=ecdh-sha2-nistp256',
  '-o KexAlgorithms=diffie-hellman-group16-sha512',
]
const CIPHER = [
  '',
  '',
  '',
  '-o Ciphers=aes256-ctr -o MACs=hmac-sha2-512',
  '-o Ciphers=aes128-gcm@openssh.com',
  '-o Ciphers=aes128-ctr -o MACs=hmac-sha2-256-etm@openssh.com',
]
const COMPRESSION = ['', '', '-C']
const HOSTS = ['/dev/null', '/dev/null', 'KNOWN']

interface Login {
  readonly keys?: readonly string[]
  readonly passwords?: readonly string[]
  readonly options?: string
  readonly user?: string
  readonly program?: string
  /** How passwords are sent. */
  readonly method?: 'password' | 'keyboard-interactive'
}

/**
 * A command line of OpenSSH up to the host, which logs in with these keys, and then these passwords; and what
 * is to be run before it. No double quotes are in it.
 */
function openssh(context: SshContext, login: Login): { setup: string; ssh: string } {
  const { keys = [], passwords = [], options = '', program = 'ssh', method = 'password' } = login
  const secrets = context.temporary('passwords')
  const hosts = context.pick(HOSTS).replace('KNOWN', context.temporary('known_hosts'))
  const methods = [...(keys.length > 0 ? ['publickey'] : []), ...(passwords.length > 0 ? [method] : [])]
  const words = passwords.map((word) => `'${word}'`).join(' ')
  const ssh = [
    `env PASSWORDS=${secrets} SSH_ASKPASS=${context.programs}/askpass.sh SSH_ASKPASS_REQUIRE=force ${program}`,
    `-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=${hosts} -o IdentitiesOnly=yes`,
    `-o PreferredAuthentications=${methods.join(',') || 'none'}`,
    `-o NumberOfPasswordPrompts=${Math.max(1, passwords.length)} -o IdentityAgent=none -o ConnectTimeout=20`,
    ...keys.map((key) => `-i ${context.file(key)}`),
    context.pick(KEX),
    context.pick(CIPHER),
    context.pick(COMPRESSION),
    options,
  ]
  return { setup: `printf '%s\\n' ${words} > ${secrets};`, ssh: ssh.filter(Boolean).join(' ') }
}

const target = ({ address }: SshContext, user = 'alice') => `${user}@${address}`
const times = (count: number, { wrong }: SshContext) => Array.from({ length: count }, () => wrong())
const OTHERS = ['other1', 'other2', 'other3', 'other4', 'other5']

/** As `openssh`, with the command that the server is to run. */
function run(name: string, truth: Truth, login: (context: SshContext) => Login, what = 'true'): SshCase {
  return {
    name,
    truth,
    command: (context) => {
      const options = login(context)
      const { setup, ssh } = openssh(context, options)
      return `${setup} ${ssh} ${target(context, options.user)} ${what}`
    },
  }
}

const byKey = ({ pick }: SshContext): Login => ({ keys: [pick(['key', 'key', 'rsa'])] })
const byPassword = ({ right }: SshContext): Login => ({ passwords: [right] })
const byEither = (context: SshContext): Login =>
  context.pick([true, false]) ? byKey(context) : byPassword(context)

/** `ssh` with a script on its standard input: what a person does in a shell. */
function shell(name: string, script: string, options = '-tt'): SshCase {
  return {
    name,
    truth: 'succeeded',
    command: (context) => {
      const { setup, ssh } = openssh(context, { ...byEither(context), options })
      return `${setup} (${script}) | ${ssh} ${target(context)}`
    },
  }
}

/** As `run`, with the whole command line made of OpenSSH's. */
function login(
  name: string,
  how: (context: SshContext) => Login,
  command: (context: SshContext, openssh: string) => string,
  program = 'ssh',
): SshCase {
  return {
    name,
    truth: 'succeeded',
    command: (context) => {
      const { setup, ssh } = openssh(context, { ...how(context), program })
      return `${setup} ${command(context, ssh)}`
    },
  }
}

const git = (ssh: string) => `env GIT_SSH_VARIANT=ssh GIT_SSH_COMMAND="${ssh}" git`
const repository = (context: SshContext) => `'ssh://alice@${context.host}${context.file('home/repo')}'`

/** A guess, one connection each, with a program that is no OpenSSH. */
function guesser(name: string, command: (context: SshContext) => string, truth: Truth = 'failed'): SshCase {
  return { name, truth, command }
}

/** The host key is accepted on standard input, and kept for the run. */
function putty(context: SshContext, program: string, password = context.right): string {
  return `env HOME=${context.temporary('')} ${program} -pw '${password}'`
}

function wordList(context: SshContext, count: number): string {
  const words = times(count, context).map((word) => `'${word}'`)
  return `printf '%s\\n' ${words.join(' ')} > ${context.temporary('words')};`
}

const PYTHON = '/usr/bin/python3 -W ignore'
const python =
  (library: string, key: boolean, words: (context: SshContext) => readonly string[], what = 'true') =>
  (context: SshContext) =>
    `${PYTHON} ${context.programs}/ssh-login.py ${library} ${context.address} alice ${key ? context.file('key') : '-'} '${what}' ` +
    words(context)
      .map((word) => `'${word}'`)
      .join(' ')

const NETCAT = 'import socket,sys,time; s=socket.create_connection((sys.argv[1],int(sys.argv[2])))'

export const SSH_CASES: readonly SshCase[] = [
  guesser('connect and close', (c) => `${PYTHON} -c '${NETCAT}; s.close()' ${c.address} 22`, 'none'),
  guesser(
    'read the banner',
    (c) => `${PYTHON} -c '${NETCAT}; s.recv(99); s.close()' ${c.address} 22`,
    'none',
  ),
  guesser(
    'say hello, no more',
    (c) =>
      `${PYTHON} -c '${NETCAT}; s.recv(99); s.send(b"SSH-2.0-Go\\r\\n"); s.recv(9999); s.close()' ${c.address} 22`,
    'none',
  ),
  guesser(
    'an HTTP request',
    (c) =>
      `${PYTHON} -c '${NETCAT}; s.send(b"GET / HTTP/1.0\\r\\n\\r\\n"); s.recv(999); time.sleep(1)' ${c.address} 22`,
    'none',
  ),
  guesser('ssh-keyscan', (c) => `ssh-keyscan -T 10 ${c.address}`, 'none'),
  run('ask for methods', 'none', () => ({})),
  run('wrong user', 'failed', (c) => ({
    passwords: times(1, c),
    user: c.pick(['root', 'admin', 'oracle', 'ubuntu']),
  })),
  run('wrong password 1', 'failed', (c) => ({ passwords: times(1, c) })),
  run('wrong password 2', 'failed', (c) => ({ passwords: times(2, c) })),
  run('wrong password 3', 'failed', (c) => ({ passwords: times(3, c) })),
  run('wrong password 6', 'failed', (c) => ({ passwords: times(6, c) })),
  run('key refused', 'failed', () => ({ keys: ['other1'] })),
  run('5 keys refused', 'failed', () => ({ keys: OTHERS })),
  run('key refused, wrong password 3', 'failed', (c) => ({ keys: ['other1'], passwords: times(3, c) })),
  run('key: true', 'succeeded', byKey),
  run('password: true', 'succeeded', byPassword),
  run('wrong password 1, then right', 'succeeded', (c) => ({ passwords: [c.wrong(), c.right] })),
  run('wrong password 3, then right', 'succeeded', (c) => ({ passwords: [...times(3, c), c.right] })),
  run('4 keys refused, then right', 'succeeded', () => ({ keys: [...OTHERS.slice(0, 4), 'key'] })),
  run('uptime', 'succeeded', byEither, 'uptime'),
  run('exit 1', 'succeeded', byEither, 'exit 1'),
  run('ls -la', 'succeeded', byEither, "'ls -la /usr/bin | head -50'"),
  run('tar', 'succeeded', byEither, "'tar c big | cat' > /dev/null"),
  login('forward, unused', byKey, (c, ssh) => `timeout 3 ${ssh} -N -L 9999:127.0.0.1:22 ${target(c)}`),
  login('forward', byKey, (c, ssh) => `sleep 1 | ${ssh} -W 127.0.0.1:22 ${target(c)}`),
  shell('shell, two commands', "sleep 1; echo ls; sleep 1; echo 'uname -a'; sleep 1; echo exit; sleep 1"),
  shell('shell, left at once', 'echo exit; sleep 1'),
  shell('shell, idle', 'sleep 8; echo exit; sleep 1', '-tt -o ServerAliveInterval=1'),
  shell('shell, much output', "echo 'cat small small small; ls -la /usr/bin'; sleep 2; echo exit; sleep 1"),
  ...['small', 'big'].flatMap((size) => [
    login(
      `scp ${size} there`,
      byEither,
      (c, scp) => `${scp} ${c.file(size)} 'alice@${c.host}:copy-${size}'`,
      'scp',
    ),
    login(`scp ${size} back`, byEither, (c, scp) => `${scp} 'alice@${c.host}:${size}' /dev/null`, 'scp'),
    login(
      `scp -O ${size} back`,
      byEither,
      (c, scp) => `${scp} -O 'alice@${c.host}:${size}' /dev/null`,
      'scp',
    ),
  ]),
  login('sftp ls', byEither, (c, sftp) => `echo ls | ${sftp} 'alice@${c.host}'`, 'sftp'),
  login('git ls-remote', byKey, (c, ssh) => `${git(ssh)} ls-remote ${repository(c)}`),
  login('git clone', byKey, (c, ssh) => `${git(ssh)} clone -q ${repository(c)} ${c.temporary('clone')}`),
  run('keyboard-interactive: true', 'succeeded', ({ right }) => ({
    passwords: [right],
    method: 'keyboard-interactive',
  })),
  run('keyboard-interactive: wrong 3', 'failed', (c) => ({
    passwords: times(3, c),
    method: 'keyboard-interactive',
  })),
  run('certificate: true', 'succeeded', () => ({ keys: ['signed'] })),
  login('pipe in', byKey, (c, ssh) => `${ssh} ${target(c)} 'cat > copy' < ${c.file('small')}`),
  login('pipe in, password', byPassword, (c, ssh) => `${ssh} ${target(c)} 'cat > copy' < ${c.file('small')}`),
  guesser(
    'pipe in, dbclient',
    (c) => `DROPBEAR_PASSWORD='${c.right}' dbclient -y -y ${target(c)} 'cat > copy' < ${c.file('small')}`,
    'succeeded',
  ),
  guesser(
    'pipe in, plink',
    (c) => `(echo y; sleep 2; cat ${c.file('small')}) | ${putty(c, 'plink')} ${target(c)} 'cat > copy'`,
    'succeeded',
  ),
  login('nothing', byEither, (c, ssh) => `timeout 3 ${ssh} -N ${target(c)}`),
  login('sftp get', byEither, (c, sftp) => `echo 'get small /dev/null' | ${sftp} 'alice@${c.host}'`, 'sftp'),
  guesser(
    'dbclient: true',
    (c) => `DROPBEAR_PASSWORD='${c.right}' dbclient -y -y ${target(c)} true`,
    'succeeded',
  ),
  guesser(
    'dbclient: wrong password',
    (c) => `DROPBEAR_PASSWORD='${c.wrong()}' dbclient -y -y ${target(c)} true`,
  ),
  guesser(
    'plink: true',
    (c) => `(echo y; sleep 2) | plink -ssh -pw '${c.right}' ${target(c)} true`,
    'succeeded',
  ),
  guesser('plink: wrong password', (c) => `echo y | plink -ssh -pw '${c.wrong()}' ${target(c)} true`),
  guesser(
    'plink: wrong password 3',
    (c) => `printf '%s\\n' y ${times(2, c).join(' ')} | ${putty(c, 'plink', c.wrong())} ${target(c)} true`,
  ),
  guesser(
    'plink: key',
    (c) =>
      `puttygen ${c.file('key')} -O private -o ${c.temporary('ppk')}; (echo y; sleep 2) | plink -i ${c.temporary('ppk')} ${target(c)} true`,
    'succeeded',
  ),
  guesser(
    'plink: nothing',
    (c) => `(echo y; sleep 3) | timeout 3 ${putty(c, 'plink')} -N ${target(c)}`,
    'succeeded',
  ),
  guesser(
    'plink: shell',
    (c) => `(echo y; sleep 1; echo ls; sleep 1; echo exit) | ${putty(c, 'plink')} -t ${target(c)}`,
    'succeeded',
  ),
  guesser('psftp ls', (c) => `printf '%s\\n' y ls quit | ${putty(c, 'psftp')} ${target(c)}`, 'succeeded'),
  guesser(
    'pscp small there',
    (c) => `echo y | ${putty(c, 'pscp')} ${c.file('small')} 'alice@${c.host}:copy'`,
    'succeeded',
  ),
  guesser(
    'pscp small back',
    (c) => `echo y | ${putty(c, 'pscp')} 'alice@${c.host}:small' ${c.temporary('back')}`,
    'succeeded',
  ),
  guesser(
    'dbclient: key',
    (c) =>
      `dropbearconvert openssh dropbear ${c.file('key')} ${c.temporary('dropbear')}; dbclient -y -y -i ${c.temporary('dropbear')} ${target(c)} true`,
    'succeeded',
  ),
  guesser(
    'dbclient: nothing',
    (c) => `DROPBEAR_PASSWORD='${c.right}' timeout 3 dbclient -y -y -N ${target(c)}`,
    'succeeded',
  ),
  guesser(
    'curl scp',
    (c) => `curl -sk -u 'alice:${c.right}' 'scp://${c.host}/${c.file('home/small')}' -o /dev/null`,
    'succeeded',
  ),
  guesser(
    'curl sftp, upload',
    (c) => `curl -sk -u 'alice:${c.right}' -T ${c.file('small')} 'sftp://${c.host}/~/copy'`,
    'succeeded',
  ),
  guesser(
    'curl sftp',
    (c) => `curl -sk -u 'alice:${c.right}' 'sftp://${c.host}/~/small' -o /dev/null`,
    'succeeded',
  ),
  guesser(
    'curl sftp, wrong password',
    (c) => `curl -sk -u 'alice:${c.wrong()}' 'sftp://${c.host}/~/small' -o /dev/null`,
  ),
  guesser(
    'sshpass: wrong',
    (c) =>
      `sshpass -p '${c.wrong()}' ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o PubkeyAuthentication=no -o NumberOfPasswordPrompts=1 ${target(c)} true`,
  ),
  guesser(
    'paramiko: true',
    python('paramiko', false, (c) => [c.right]),
    'succeeded',
  ),
  guesser(
    'paramiko: key',
    python('paramiko', true, () => []),
    'succeeded',
  ),
  guesser(
    'paramiko: nothing',
    python('paramiko', false, (c) => [c.right], '-'),
    'succeeded',
  ),
  guesser(
    'paramiko: sftp',
    python('paramiko', true, () => [], 'sftp'),
    'succeeded',
  ),
  guesser(
    'paramiko: three commands',
    python('paramiko', true, () => [], 'true && id && uname'),
    'succeeded',
  ),
  guesser(
    'paramiko: wrong 1',
    python('paramiko', false, (c) => times(1, c)),
  ),
  guesser(
    'paramiko: wrong 3',
    python('paramiko', false, (c) => times(3, c)),
  ),
  guesser(
    'paramiko: wrong 5',
    python('paramiko', false, (c) => times(5, c)),
  ),
  guesser(
    'paramiko: wrong 2, then right',
    python('paramiko', false, (c) => [...times(2, c), c.right]),
    'succeeded',
  ),
  guesser(
    'asyncssh: true',
    python('asyncssh', false, (c) => [c.right]),
    'succeeded',
  ),
  guesser(
    'asyncssh: key',
    python('asyncssh', true, () => []),
    'succeeded',
  ),
  guesser(
    'asyncssh: wrong 1',
    python('asyncssh', false, (c) => times(1, c)),
  ),
  guesser(
    'asyncssh: wrong 3',
    python('asyncssh', false, (c) => times(3, c)),
  ),
  // One that guesses right is a client of libssh's that logs in and does nothing.
  guesser(
    'hydra: right',
    (c) =>
      `cd ${c.temporary('')} && timeout 20 hydra -I -q -l alice -p '${c.right}' -t 1 ${c.address.includes(':') ? '-6' : ''} 'ssh://${c.host}'`,
    'succeeded',
  ),
  guesser(
    'patator',
    (c) =>
      `${wordList(c, 6)} timeout 25 patator ssh_login host=${c.address} user=${c.pick(['alice', 'root'])} password=FILE0 0=${c.temporary('words')} -t ${c.pick([1, 3])}`,
  ),
  guesser(
    'hydra',
    (c) =>
      `${wordList(c, 14)} cd ${c.temporary('')} && timeout 20 hydra -I -q -l ${c.pick(['alice', 'root'])} -P ${c.temporary('words')} -t ${c.pick([1, 4])} -w 3 ${c.address.includes(':') ? '-6' : ''} 'ssh://${c.host}'`,
  ),
  guesser(
    'medusa',
    (c) =>
      `${wordList(c, 5)} timeout 25 medusa -h ${c.address} -u ${c.pick(['alice', 'root'])} -P ${c.temporary('words')} -M ssh -t ${c.pick([1, 3])}`,
  ),
  guesser(
    'ncrack',
    (c) =>
      `${wordList(c, 8)} timeout 12 ncrack -g CL=2,cr=2 ${c.address.includes(':') ? '-6' : ''} --user ${c.pick(['alice', 'root'])} -P ${c.temporary('words')} 'ssh://${c.address}' -T${c.pick([3, 4])}`,
  ),
]
