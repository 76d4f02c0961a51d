import { setTimeout as sleep } from 'node:timers/promises'

type Falsy = false | 0 | '' | null | undefined

/**
 * Asks `probe` again and again until it returns something truthy, and returns that. A probe that throws
 * has not succeeded yet.
 *
 * @throws Error saying `what` did not come true in time, with the probe's last error as its cause.
 */
export async function eventually<T>(
  what: string,
  probe: () => T | Promise<T>,
  { withinMs = 10_000, everyMs = 50 } = {},
): Promise<Exclude<T, Falsy>> {
  const deadline = performance.now() + withinMs
  let cause: unknown
  for (;;) {
    try {
      const result = await probe()
      if (result) return result as Exclude<T, Falsy>
      cause = undefined
    } catch (error) {
      cause = error
    }
    if (performance.now() >= deadline) throw new Error(`not within ${withinMs / 1000} s: ${what}`, { cause })
    await sleep(everyMs)
  }
}
