import { execFile, execFileSync, type SpawnOptions, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { Scratch } from './scratch.ts'

const exec = promisify(execFile)

/**
 * A few hosts on one Ethernet, each a network namespace: a bridge in the first, a veth to each other.
 * Host i (from 1) has 10.77.0.i/24 and fd77::i/64 on `eth0`. Nothing outside the namespaces is touched;
 * `close` removes them, with every process that still runs in them.
 */
export class Lab {
  readonly hosts: readonly Host[]

  private constructor(hosts: Host[]) {
    this.hosts = hosts
  }

  static create(names: readonly string[]): Lab {
    const id = `slu${randomBytes(3).toString('hex')}`
    const hosts = names.map((name, i) => new Host(`${id}-${name}`, `10.77.0.${i + 1}`, `fd77::${i + 1}`))
    const lab = new Lab(hosts)
    try {
      for (const [i, host] of hosts.entries()) lab.#build(host, i)
    } catch (error) {
      lab.close()
      throw error
    }
    return lab
  }

  /** The host called `name` at `create`. */
  host(name: string): Host {
    const host = this.hosts.find((each) => each.namespace.endsWith(`-${name}`))
    if (host === undefined) throw new RangeError(`no host "${name}" in this lab`)
    return host
  }

  close(): void {
    for (const host of this.hosts) host.remove()
  }

  #build(host: Host, index: number): void {
    ip('netns', 'add', host.namespace)
    // Without duplicate address detection an IPv6 address works at once.
    host.run('sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0')
    host.run('ip', 'link', 'set', 'lo', 'up')
    const first = this.hosts[0]!
    if (host === first) {
      host.run('ip', 'link', 'add', 'eth0', 'type', 'bridge')
    } else {
      const port = `port${index}`
      ip(
        '-n',
        host.namespace,
        'link',
        'add',
        'eth0',
        'type',
        'veth',
        'peer',
        'name',
        port,
        'netns',
        first.namespace,
      )
      first.run('ip', 'link', 'set', port, 'master', 'eth0', 'up')
    }
    host.run('ip', 'addr', 'add', `${host.ipv4}/24`, 'dev', 'eth0')
    host.run('ip', 'addr', 'add', `${host.ipv6}/64`, 'dev', 'eth0', 'nodad')
    host.run('ip', 'link', 'set', 'eth0', 'up')
  }
}

/** One namespace of a lab. */
export class Host {
  readonly namespace: string
  readonly ipv4: string
  readonly ipv6: string
  readonly #scratches: Scratch[] = []

  constructor(namespace: string, ipv4: string, ipv6: string) {
    this.namespace = namespace
    this.ipv4 = ipv4
    this.ipv6 = ipv6
  }

  /** Runs to its end and returns standard output. @throws Error on a non-zero exit, with standard error. */
  run(command: string, ...args: string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.namespace, command, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  /** Like `run`, without blocking, and returning the outcome whatever it is. */
  async attempt(
    command: string,
    ...args: string[]
  ): Promise<{ status: number; stdout: string; stderr: string }> {
    try {
      const done = await exec('ip', ['netns', 'exec', this.namespace, command, ...args])
      return { status: 0, ...done }
    } catch (error) {
      const { code, stdout = '', stderr = '' } = error as { code?: number; stdout?: string; stderr?: string }
      return { status: code ?? 1, stdout, stderr }
    }
  }

  /** Starts a process that goes on; `remove` ends it. `ip netns exec` execs, so the pid is the command's. */
  spawn(command: string, args: readonly string[], options: SpawnOptions = {}) {
    return spawn('ip', ['netns', 'exec', this.namespace, command, ...args], options)
  }

  /** A directory for files of what runs here; `remove` removes it too. */
  scratch(): Scratch {
    const scratch = new Scratch()
    this.#scratches.push(scratch)
    return scratch
  }

  /** Further addresses on `eth0`, such as `10.77.1.5/16`. */
  addAddress(...cidrs: string[]): void {
    for (const cidr of cidrs)
      this.run('ip', 'addr', 'add', cidr, 'dev', 'eth0', ...(cidr.includes(':') ? ['nodad'] : []))
  }

  remove(): void {
    const pids = quietly('ip', 'netns', 'pids', this.namespace).split('\n').filter(Boolean)
    for (const pid of pids) {
      try {
        process.kill(Number(pid), 'SIGKILL')
      } catch {
        // It ended by itself between the two calls.
      }
    }
    quietly('ip', 'netns', 'del', this.namespace)
    for (const scratch of this.#scratches) scratch.close()
  }
}

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

function quietly(command: string, ...args: string[]): string {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return ''
  }
}
