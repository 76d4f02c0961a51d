import type { FailurePolicy } from '../../config/policy.ts'
import { RecentMap } from '../recent-map.ts'

/**
 * Sources and services that are remembered, at about 150 bytes each. Beyond it the one that failed longest
 * ago is forgotten, and has its tries anew; each place costs an attacker a completed handshake.
 */
const RECORDS_MAX = 65_536

/** So many times `tries` can be forgiven, before what is forgiven has itself been forgotten. */
const FORGIVABLE = 4

/** What is kept of a source and service: two leaky buckets, in whole tries. Times are monotonic ms. */
export interface FailureRecord {
  tries: number
  /** When the last try was forgotten, or the first one made. */
  triesMs: number
  forgiven: number
  forgivenMs: number
}

/** What is held against a source. */
export interface FailureReading {
  readonly tries: number
  /** Until the next try is forgotten; 0 when there is none. */
  readonly nextMs: number
  /** Tries that a success could still take back. */
  readonly forgivable: number
}

/**
 * Failed tries to log in, by source and service: a bucket of `tries` that leaks a whole one each `forgetMs`.
 * Whoever fills it is an offender. So a burst and a trickle are caught by one rule: anything faster than one
 * try each `forgetMs`, sooner or later. It leaks whole tries, since five in four minutes are five.
 *
 * A success takes back the tries before it: that was somebody who mistyped. But whoever has an account could
 * log in after each four guesses at another's. So what is taken back goes into a second bucket, four times
 * as large, which leaks as slowly: in the long run, an account is worth no more than being a second stranger.
 */
export class Failures {
  /** Told of each key whose record is new, changed or gone. */
  onChange: (key: string) => void = () => {}
  readonly #records = new RecentMap<string, FailureRecord>(RECORDS_MAX, (key) => this.onChange(key))

  /** Adds failed tries. @returns how many are held against `key` now */
  fail(key: string, tries: number, policy: FailurePolicy, nowMs: number): number {
    const record = this.#leaked(key, policy, nowMs)
    if (record.tries === 0) record.triesMs = nowMs
    record.tries += tries
    this.#records.set(key, record)
    this.onChange(key)
    return record.tries
  }

  /** Takes back what is held against `key`, as far as that goes. @returns what is left */
  forgive(key: string, policy: FailurePolicy, nowMs: number): number {
    if (this.#records.peek(key) === undefined) return 0
    const record = this.#leaked(key, policy, nowMs)
    const taken = Math.min(record.tries, FORGIVABLE * policy.tries - record.forgiven)
    if (record.forgiven === 0) record.forgivenMs = nowMs
    record.forgiven += taken
    record.tries -= taken
    this.onChange(key)
    return record.tries
  }

  /** Holds nothing against `key` any more, after a ban or by a person's word. */
  clear(key: string): void {
    const record = this.#records.peek(key)
    if (record === undefined) return
    record.tries = 0
    this.onChange(key)
  }

  read(key: string, policy: FailurePolicy, nowMs: number): FailureReading {
    const { tries, triesMs, forgiven } = { ...this.#leaked(key, policy, nowMs) }
    const nextMs = tries === 0 ? 0 : triesMs + policy.forgetMs - nowMs
    return { tries, nextMs, forgivable: FORGIVABLE * policy.tries - forgiven }
  }

  /** Of all records, those that have leaked out included. */
  keys(): Iterable<string> {
    return this.#records.keys()
  }

  /** What is kept under `key`. */
  record(key: string): Readonly<FailureRecord> | undefined {
    return this.#records.peek(key)
  }

  /** Takes over what an earlier run has kept, unless this one knows better; who failed last comes last. */
  recall(key: string, record: FailureRecord): void {
    if (this.#records.peek(key) !== undefined) return
    this.#records.set(key, record)
    this.onChange(key)
  }

  #leaked(key: string, { forgetMs }: FailurePolicy, nowMs: number): FailureRecord {
    const record = this.#records.peek(key) ?? { tries: 0, triesMs: nowMs, forgiven: 0, forgivenMs: nowMs }
    const tries = leaks(nowMs - record.triesMs, forgetMs)
    record.tries = Math.max(0, record.tries - tries)
    record.triesMs += tries * forgetMs
    const forgiven = leaks(nowMs - record.forgivenMs, forgetMs)
    record.forgiven = Math.max(0, record.forgiven - forgiven)
    record.forgivenMs += forgiven * forgetMs
    return record
  }
}

function leaks(elapsedMs: number, forgetMs: number): number {
  return Math.max(0, Math.floor(elapsedMs / forgetMs))
}
