import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import type { Host } from './lab.ts'

/** Debian's ufw in the namespace of a host, with a configuration of its own: the machine's is not written to. */
export class Ufw {
  readonly #host: Host
  readonly #mounts: string

  constructor(host: Host) {
    this.#host = host
    const scratch = host.scratch()
    const [etc, defaults] = [scratch.path('etc'), scratch.path('default')]
    cpSync('/etc/ufw', etc, { recursive: true })
    // Its sysctls are the machine's own affair, and so are the modules of the kernel.
    const text = readFileSync('/etc/default/ufw', 'utf8')
    writeFileSync(defaults, text.replace(/^(IPT_SYSCTL|IPT_MODULES)=.*$/gm, '$1='))
    this.#mounts = `mount --bind ${etc} /etc/ufw && mount --bind ${defaults} /etc/default/ufw`
  }

  /** Such as `run('allow', '22/tcp')`. @throws Error */
  run(...args: string[]): string {
    return this.#host.run('sh', '-c', `${this.#mounts} && exec ufw "$@"`, 'ufw', ...args)
  }
}
