import type { ChildProcess } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'
import type { Policy } from '../../src/config/policy.ts'
import type { Repair } from '../../src/firewall/firewall.ts'
import type { BackendKind } from '../../src/firewall/iptables.ts'
import type { Host } from '../lib/lab.ts'

const AGENT = new URL('firewall-agent.mjs', import.meta.url).pathname

/** `Verification` as it comes through JSON. */
export interface Seen {
  readonly problems: string[]
  readonly queuePackets: Record<string, number>
  readonly setSizes: Record<string, number>
}

/** A Firewall of the built program that lives in a process inside `host`. */
export class Agent {
  readonly #child: ChildProcess
  readonly #lines: Interface
  readonly #answers: AsyncIterator<string>

  /** `prepare`: shell commands to run before, in a mount name space of their own. */
  constructor(host: Host, prepare = ':', launcher = '') {
    const script = `set -e; ${prepare}; exec ${launcher} ${process.execPath} ${AGENT}`
    this.#child = host.spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#child.stdout! })
    this.#answers = this.#lines[Symbol.asyncIterator]()
  }

  create(policy: Policy, allowed: readonly string[] = []): Promise<void> {
    return this.#call('create', policy, allowed)
  }

  up(): Promise<void> {
    return this.#call('up')
  }

  apply(policy: Policy): Promise<void> {
    return this.#call('apply', policy)
  }

  setAllowed(allowed: readonly string[]): Promise<void> {
    return this.#call('setAllowed', allowed)
  }

  verify(): Promise<Seen> {
    return this.#call('verify')
  }

  repair(): Promise<Repair> {
    return this.#call('repair')
  }

  describe(): Promise<string[]> {
    return this.#call('describe')
  }

  takeDown(keepBans = false): Promise<string[]> {
    return this.#call('takeDown', { keepBans })
  }

  close(): void {
    this.#lines.close()
    this.#child.kill('SIGKILL')
  }

  /** @throws what the agent answered as a failure: `{ status, message, remedy }`. */
  async #call<T>(method: string, ...args: unknown[]): Promise<T> {
    this.#child.stdin!.write(`${JSON.stringify([method, ...args])}\n`)
    const line = await this.#answers.next()
    if (line.done) throw new Error(`the agent ended during ${method}`)
    const { value, failure } = JSON.parse(line.value) as { value: T; failure?: object }
    if (failure !== undefined) throw failure
    return value
  }
}

/** `iptables-legacy-save` and so on, of one family or both. */
export function tools(kind: BackendKind): [string, string] {
  return [`iptables-${kind}`, `ip6tables-${kind}`]
}

/**
 * All rules of `kind` in both families, without dates, counters, and the tables in which nothing is: looking
 * at a table of iptables is enough to bring an empty one into being, for good.
 */
export function rulesOf(host: Host, kind: BackendKind): string {
  return tools(kind)
    .map((tool) => {
      const saved = host
        .run(`${tool}-save`)
        .replace(/^#.*\n/gm, '')
        .replace(/\[\d+:\d+\]/g, '[0:0]')
      const tables = saved.split(/(?<=^COMMIT\n)/m)
      return `${tool}\n${tables.filter((table) => /^-A|^:\S+ (-|DROP)/m.test(table)).join('')}`
    })
    .join('')
}

/** Everything that sluice could leave behind in `host`. */
export function traces(host: Host): string {
  return [rulesOf(host, 'nft'), rulesOf(host, 'legacy'), host.run('ipset', 'list', '-n')].join('')
}

/** The rules of one chain, in order. */
export function chain(host: Host, tool: string, table: string, name: string): string[] {
  return host
    .run(`${tool}-save`, '-t', table)
    .split('\n')
    .filter((line) => line.startsWith(`-A ${name} `))
    .map((line) => line.slice(`-A ${name} `.length))
}
