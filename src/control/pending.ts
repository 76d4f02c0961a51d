import type { Policy } from '../config/policy.ts'

/** What a reload can bring into force, and what has to wait. */
export interface ReloadablePolicy {
  /** `loaded`, but for the settings that stay. */
  readonly policy: Policy
  /** Names of the settings that differ and only count from the next start on. */
  readonly pending: readonly string[]
}

/**
 * Threads, tables, queues and listeners are made once, at the start: those settings of `loaded` wait for the
 * next one, and `running` goes on.
 */
export function reloadable(running: Policy, loaded: Policy): ReloadablePolicy {
  const policy: Policy = {
    ...loaded,
    threads: running.threads,
    sources: running.sources,
    queue: running.queue,
    control: running.control,
    metrics: running.metrics,
    state: running.state,
    trust: !(loaded.trust && running.trust)
      ? running.trust
      : { ...loaded.trust, maxEntries: running.trust.maxEntries },
    ban: { ...loaded.ban, maxEntries: running.ban.maxEntries },
    dns: { ...loaded.dns, induced: running.dns.induced && loaded.dns.induced },
    log: { ...loaded.log, format: running.log.format },
  }
  // The file knows these settings without the unit in their names.
  return { policy, pending: differences(loaded, policy, '').map((path) => path.replace(/Bytes$/, '')) }
}

function differences(a: unknown, b: unknown, path: string): string[] {
  if (a === b) return []
  if (!isSection(a) || !isSection(b)) return [path]
  return Object.keys({ ...a, ...b }).flatMap((key) =>
    differences(a[key], b[key], path === '' ? key : `${path}.${key}`),
  )
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
