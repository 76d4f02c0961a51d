import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, writeFileSync } from 'node:fs'
import { eventually } from './eventually.ts'
import type { Host } from './lab.ts'

/** firewalld in the namespace of a host, with a message bus and a configuration of its own. */
export class Firewalld {
  readonly #host: Host
  readonly #mounts: string
  readonly #process: ChildProcess

  private constructor(host: Host, backend: 'nftables' | 'iptables') {
    this.#host = host
    const scratch = host.scratch()
    const [etc, bus] = [scratch.path('etc'), scratch.path('bus')]
    cpSync('/etc/firewalld', etc, { recursive: true })
    writeFileSync(
      `${etc}/firewalld.conf`,
      `DefaultZone=public\nFirewallBackend=${backend}\nCleanupOnExit=yes\n`,
    )
    const address = `unix:path=${bus}`
    this.#mounts = `mount --bind ${etc} /etc/firewalld && export DBUS_SYSTEM_BUS_ADDRESS=${address}`
    host.spawn('dbus-daemon', ['--system', '--nofork', '--nopidfile', `--address=${address}`], {
      stdio: 'ignore',
    })
    this.#process = host.spawn('sh', ['-c', `${this.#mounts} && exec firewalld --nofork --nopid`], {
      stdio: 'ignore',
    })
  }

  /** Resolves when it runs. */
  static async start(host: Host, backend: 'nftables' | 'iptables'): Promise<Firewalld> {
    const firewalld = new Firewalld(host, backend)
    await eventually('firewalld runs', () => firewalld.run('--state').includes('running'), {
      withinMs: 30_000,
    })
    return firewalld
  }

  /** Such as `run('--add-port', '22/tcp')`. @throws Error */
  run(...args: string[]): string {
    return this.#host.run('sh', '-c', `${this.#mounts} && exec firewall-cmd "$@"`, 'firewall-cmd', ...args)
  }

  /** Ends it, which takes its rules away. */
  async close(): Promise<void> {
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGTERM')
    await ended
  }
}
