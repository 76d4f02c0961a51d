import { ANSWER_KINDS } from './dns/answer-kinds.ts'
import { DNS_KINDS } from './dns/message.ts'
import { SWEEP_KINDS } from './dns/walk-records.ts'
import { REASONS, VERDICTS } from './reasons.ts'
import { NO_SERVICE } from './service-slots.ts'

/** Upper bounds of the batch time histogram, in seconds; one more bucket counts what is above. */
export const BATCH_SECONDS = [
  0.000_025, 0.000_05, 0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.01, 0.1,
] as const

const SERVICES = NO_SERVICE + 1
const ANSWERS = ANSWER_KINDS.length
const REASON_COUNT = REASONS.length
const VERDICT_COUNT = VERDICTS.length
const KINDS = DNS_KINDS.length
const SWEEPS = SWEEP_KINDS.length
const DECISIONS = SERVICES * VERDICTS.length * REASON_COUNT

/**
 * Everything that a path thread counts, as numbers in shared memory: the thread writes, the control
 * thread reads when it is asked. Doubles count exactly to 2^53 and cost the path 3 ns.
 */
export class PathCounters {
  static readonly BYTES =
    (DECISIONS + 2 * SERVICES + 12 + KINDS + SWEEPS + ANSWERS + BATCH_SECONDS.length + 2) * 8

  /** Packets by service, verdict and reason; see `decisionIndex`. */
  declare readonly decisions: Float64Array
  declare readonly strikes: Float64Array
  declare readonly promotions: Float64Array
  /** Promotions that the ring had no room for. */
  declare readonly promotionsLost: Float64Array
  /** Holds that their ring had no room for. */
  declare readonly holdsLost: Float64Array
  /** Own lookups that their ring had no room for. */
  declare readonly lookupsLost: Float64Array
  /** `[occupied slots, evictions]` of each table. */
  declare readonly sources: Float64Array
  declare readonly networks: Float64Array
  /** The same of the table behind the records of sweeps. */
  declare readonly walkers: Float64Array
  /** Datagrams to DNS services, by `DNS_KINDS`. */
  declare readonly dnsKinds: Float64Array
  /** Sweeps recognised, by `SWEEP_KINDS`. */
  declare readonly sweeps: Float64Array
  /** Unsolicited answers, by `ANSWER_KINDS`. */
  declare readonly answers: Float64Array
  /** Batches by time, not cumulative, and the sum of their seconds in the last place. */
  declare readonly batchSeconds: Float64Array

  constructor(memory: SharedArrayBuffer) {
    let at = 0
    const next = (length: number) => {
      const view = new Float64Array(memory, at * 8, length)
      at += length
      return view
    }
    this.decisions = next(DECISIONS)
    this.strikes = next(SERVICES)
    this.promotions = next(SERVICES)
    this.promotionsLost = next(1)
    this.holdsLost = next(1)
    this.lookupsLost = next(1)
    this.sources = next(2)
    this.networks = next(2)
    this.walkers = next(2)
    this.dnsKinds = next(KINDS)
    this.sweeps = next(SWEEPS)
    this.answers = next(ANSWERS)
    this.batchSeconds = next(BATCH_SECONDS.length + 2)
  }

  /** Counts a batch that took `seconds`. */
  addBatch(seconds: number): void {
    let bucket = 0
    while (bucket < BATCH_SECONDS.length && seconds > BATCH_SECONDS[bucket]!) bucket++
    this.batchSeconds[bucket]!++
    this.batchSeconds[BATCH_SECONDS.length + 1]! += seconds
  }
}

/** Where `PathCounters.decisions` keeps a service slot (or `NO_SERVICE`), a verdict and a reason. */
export function decisionIndex(service: number, verdict: number, reason: number): number {
  return (service * VERDICT_COUNT + verdict) * REASON_COUNT + reason
}
