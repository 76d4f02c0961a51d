import { execFileSync } from 'node:child_process'
import { chownSync, closeSync, copyFileSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { eventually } from '../lib/eventually.ts'
import type { Host } from '../lib/lab.ts'
import type { Scratch } from '../lib/scratch.ts'

const UID = 65_432

/** How an SSH server is set up. */
export interface SshServerOptions {
  readonly program: 'openssh' | 'dropbear'
  /** Types of the host keys, as ssh-keygen has them. */
  readonly hostKeys: readonly string[]
  /** More lines of sshd_config, or options of Dropbear. */
  readonly options: readonly string[]
  /** Passwords go through PAM, with its delay after a wrong one. */
  readonly pam: boolean
  /** Said after a login. */
  readonly motd: string
  /** Said before it. */
  readonly banner: string
}

/**
 * An SSH server on port 22 of a host, with one user, alice, whose home is in `scratch`: a git repository, a
 * small and a big file, and keys that she may log in with: `key`, `rsa`, and `signed` by its certificate.
 */
export class SshServer {
  readonly scratch: Scratch
  readonly password: string

  private constructor(host: Host, { program, hostKeys, options, pam, motd, banner }: SshServerOptions) {
    this.scratch = host.scratch()
    this.password = 'correct horse 42'
    const file = (name: string) => this.scratch.path(name)
    const system = readFileSync('/etc/passwd', 'utf8').split('\n')
    const kept = system.filter((line) => /^(root|sshd|nobody):/.test(line))
    writeFileSync(file('passwd'), [...kept, `alice:x:${UID}:${UID}::${file('home')}:/bin/sh`, ''].join('\n'))
    const hash = execFileSync('openssl', ['passwd', '-6', this.password], { encoding: 'utf8' }).trim()
    writeFileSync(file('shadow'), `root:*:19000:0:99999:7:::\nalice:${hash}:19000:0:99999:7:::\n`)
    writeFileSync(file('group'), `root:x:0:\nshadow:x:42:\nalice:x:${UID}:\n`)
    writeFileSync(file('motd'), motd)
    writeFileSync(file('banner'), banner)
    writeFileSync(file('pam'), pamConfig(file('motd')))
    this.#makeHome()
    const keys = hostKeys.map((type) => this.#hostKey(program, type))
    writeFileSync(
      file('config'),
      [...keys.map((key) => `HostKey ${key}`), ...options, ...config(pam, file)].join('\n'),
    )
    const dropbear = ['dropbear', '-F', '-E', '-p', '22', '-P', '/run/dropbear.pid', ...options]
    const command =
      program === 'openssh'
        ? `/usr/sbin/sshd -D -e -f ${file('config')}`
        : [
            ...dropbear,
            ...keys.flatMap((key) => ['-r', key]),
            ...(banner ? ['-b', file('banner')] : []),
          ].join(' ')
    const binds = [
      ['passwd', '/etc/passwd'],
      ['shadow', '/etc/shadow'],
      ['group', '/etc/group'],
      ['motd', '/etc/motd'],
    ]
    if (pam) binds.push(['pam', '/etc/pam.d/sshd'])
    const script = [
      'mount -t tmpfs tmpfs /run',
      'mkdir -m 755 /run/sshd',
      ...binds.map(([name, path]) => `mount --bind ${file(name!)} ${path}`),
      `exec ${command}`,
    ].join(' && ')
    const log = openSync(file('log'), 'w')
    host.spawn('sh', ['-c', script], { stdio: ['ignore', log, log] })
    closeSync(log)
  }

  /** Resolves when it listens. */
  static async start(host: Host, options: SshServerOptions): Promise<SshServer> {
    const server = new SshServer(host, options)
    await eventually(`${options.program} listens`, async () => {
      const { stdout } = await host.attempt('ss', '-Hltn', 'sport = :22')
      return stdout.includes('[::]:22')
    })
    return server
  }

  log(): string {
    return readFileSync(this.scratch.path('log'), 'utf8')
  }

  #makeHome(): void {
    const file = (name: string) => this.scratch.path(name)
    mkdirSync(file('home/.ssh'), { recursive: true })
    for (const key of ['ca', 'signed', 'key', 'other1', 'other2', 'other3', 'other4', 'other5']) {
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file(key)])
    }
    execFileSync('ssh-keygen', ['-q', '-s', file('ca'), '-I', 'alice', '-n', 'alice', file('signed.pub')])
    execFileSync('ssh-keygen', ['-q', '-t', 'rsa', '-b', '3072', '-N', '', '-f', file('rsa')])
    const keys = ['key.pub', 'rsa.pub'].map((name) => readFileSync(file(name), 'utf8')).join('')
    writeFileSync(file('home/.ssh/authorized_keys'), keys, { mode: 0o600 })
    writeFileSync(file('home/small'), 'x'.repeat(2000))
    writeFileSync(file('home/big'), Buffer.alloc(3_000_000, 'sluice'))
    copyFileSync(file('home/big'), file('big'))
    copyFileSync(file('home/small'), file('small'))
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', file('home/repo'), '-c', 'user.name=a', '-c', 'user.email=a@b', ...args])
    mkdirSync(file('home/repo'))
    git('init', '-q')
    copyFileSync(file('small'), file('home/repo/small'))
    git('add', 'small')
    git('commit', '-q', '-m', 'first')
    execFileSync('chown', ['-R', `${UID}:${UID}`, file('home')])
    chownSync(file('home'), UID, UID)
    execFileSync('chmod', ['755', file('home')])
  }

  #hostKey(program: 'openssh' | 'dropbear', type: string): string {
    const path = this.scratch.path(`host-${type}`)
    const [name = '', bits] = type.split('-')
    if (program === 'openssh') {
      execFileSync('ssh-keygen', ['-q', '-t', name, ...(bits ? ['-b', bits] : []), '-N', '', '-f', path])
    } else {
      execFileSync('dropbearkey', ['-t', name, '-f', path], { stdio: 'ignore' })
    }
    return path
  }
}

function config(pam: boolean, file: (name: string) => string): string[] {
  return [
    `UsePAM ${pam ? 'yes' : 'no'}`,
    `PrintMotd ${pam ? 'no' : 'yes'}`,
    `Banner ${readFileSync(file('banner'), 'utf8') === '' ? 'none' : file('banner')}`,
    'KbdInteractiveAuthentication no',
    `TrustedUserCAKeys ${file('ca.pub')}`,
    'Subsystem sftp /usr/lib/openssh/sftp-server',
    'StrictModes no',
    'UseDNS no',
    'MaxStartups 1000',
    'PidFile none',
    'LogLevel VERBOSE',
    '',
  ]
}

function pamConfig(motd: string): string {
  return [
    'auth required pam_unix.so',
    'account required pam_unix.so',
    'session required pam_unix.so',
    `session optional pam_motd.so motd=${motd} noupdate`,
    '',
  ].join('\n')
}
