import { type ChildProcess, execFileSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { eventually } from './eventually.ts'
import type { Host } from './lab.ts'
import type { Scratch } from './scratch.ts'

const USER = 'alice'

interface SshdOptions {
  /** It asks that for the names of clients. */
  readonly resolver?: string
  /** Types of its host keys, as ssh-keygen has them. By default one, which is made in no time. */
  readonly hostKeys?: readonly string[]
  /** More lines of sshd_config. */
  readonly config?: readonly string[]
}

/**
 * OpenSSH's own server in the namespace of a host. It has keys, users and a /run of its own: the machine's
 * accounts cannot be logged in to, and nothing of the machine is written to.
 */
export class Sshd {
  readonly process: ChildProcess
  readonly #scratch: Scratch

  private constructor(host: Host, { resolver, hostKeys = ['ed25519'], config = [] }: SshdOptions) {
    this.#scratch = host.scratch()
    const file = (name: string) => this.#scratch.path(name)
    const makeKey = (type: string, name: string) => {
      execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', file(name)])
      return file(name)
    }
    makeKey('ed25519', 'client')
    const keys = hostKeys.map((type) => `HostKey ${makeKey(type, `host-${type}`)}`)
    const system = readFileSync('/etc/passwd', 'utf8').split('\n')
    const kept = system.filter((line) => /^(root|sshd|nobody):/.test(line))
    writeFileSync(file('passwd'), [...kept, `${USER}:x:65432:65432::/:/bin/sh`, ''].join('\n'))
    writeFileSync(file('shadow'), `${USER}:*:19000:0:99999:7:::\n`)
    const lines = [...keys, ...config, configOf(file('client.pub'), resolver !== undefined)]
    writeFileSync(file('config'), lines.join('\n'))
    if (resolver !== undefined) writeFileSync(file('resolv.conf'), `nameserver ${resolver}\n`)
    const log = openSync(file('log'), 'w')
    // `ip netns exec` has given this shell mounts of its own.
    const script = `
      mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd &&
      mount --bind ${file('passwd')} /etc/passwd && mount --bind ${file('shadow')} /etc/shadow &&
      ${resolver === undefined ? ':' : `mount --bind ${file('resolv.conf')} /etc/resolv.conf`} &&
      exec /usr/sbin/sshd -D -e -f ${file('config')}`
    this.process = host.spawn('sh', ['-c', script], { stdio: ['ignore', log, log], detached: true })
    closeSync(log)
  }

  /** Resolves when it listens on port 22. */
  static async start(host: Host, options: SshdOptions = {}): Promise<Sshd> {
    const sshd = new Sshd(host, options)
    try {
      await eventually('sshd listens', () => {
        if (sshd.process.exitCode !== null) throw new Error(`sshd has ended: ${sshd.log()}`)
        return sshd.log().includes('listening on :: port 22')
      })
      return sshd
    } catch (error) {
      sshd.close()
      throw error
    }
  }

  /** What it has logged so far. */
  log(): string {
    return readFileSync(this.logFile, 'utf8')
  }

  get logFile(): string {
    return this.#scratch.path('log')
  }

  /** Connections that it has taken from `address`, and wrong passwords tried from there. */
  seen(address: string): { connections: number; guesses: number } {
    const fromThere = ` from ${address} port `
    const lines = this.log()
      .split('\n')
      .filter((line) => line.includes(fromThere))
    return {
      connections: lines.filter((line) => line.startsWith('Connection from')).length,
      guesses: lines.filter((line) => line.startsWith('Failed password for ')).length,
    }
  }

  /**
   * A login with a key from `from` (an address of `client`) that runs `command`.
   *
   * @returns how long it took in ms, or `undefined` if it did not work within 5 s.
   */
  async login(client: Host, from: string, to: string, command = 'echo welcome'): Promise<number | undefined> {
    const startMs = performance.now()
    const options = {
      BatchMode: 'yes',
      ConnectTimeout: '5',
      StrictHostKeyChecking: 'no',
      UserKnownHostsFile: '/dev/null',
      LogLevel: 'ERROR',
      BindAddress: from,
    }
    const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
    const args = ['-F', 'none', '-i', this.#scratch.path('client'), ...flags, `${USER}@${to}`, command]
    const { status, stdout } = await client.attempt('ssh', ...args)
    return status === 0 && stdout !== '' ? performance.now() - startMs : undefined
  }

  close(): void {
    this.process.kill('SIGKILL')
    this.#scratch.close()
  }
}

function configOf(authorizedKey: string, useDns: boolean): string {
  return `
    AuthorizedKeysFile ${authorizedKey}
    StrictModes no
    UsePAM no
    UseDNS ${useDns ? 'yes' : 'no'}
    PasswordAuthentication yes
    KbdInteractiveAuthentication no
    MaxStartups 1000
    PidFile none
    LogLevel VERBOSE
  `
}
