import type { Policy } from '../../src/config/policy.ts'
import type { PathThreads } from '../../src/control/threads/path-threads.ts'
import { BucketReader } from '../../src/path/bucket-reader.ts'
import { compilePolicy } from '../../src/path/compile.ts'
import { DnsReader } from '../../src/path/dns/reader.ts'
import { KnownGood } from '../../src/path/known-good.ts'
import { Pipeline } from '../../src/path/pipeline.ts'
import { REASONS, VERDICTS } from '../../src/path/reasons.ts'
import { ServiceSlots } from '../../src/path/service-slots.ts'
import { createSharedState } from '../../src/path/shared.ts'
import { SourceRing } from '../../src/path/source-ring.ts'
import { type PacketFields, packet } from './packets.ts'

/** The packet path with a clock of its own, for tests. */
export class TestPath {
  readonly slots = new ServiceSlots()
  readonly shared
  readonly known: KnownGood
  readonly pipeline: Pipeline
  readonly promotions: SourceRing
  readonly holds: SourceRing
  /** Each SYN of a test is a new attempt unless it names a sequence number. */
  #sequence = 0

  constructor(policy: Policy) {
    this.shared = createSharedState(policy.sources, KnownGood.create())
    this.known = new KnownGood(this.shared.known)
    this.pipeline = new Pipeline(compilePolicy(policy, this.slots), this.shared)
    this.promotions = new SourceRing(this.shared.promotions)
    this.holds = new SourceRing(this.shared.holds)
  }

  /** What the control thread sees of the buckets. */
  get threads(): Pick<PathThreads, 'bucketsOf' | 'dnsBucketsOf' | 'clear' | 'walksOf'> {
    const reader = new BucketReader(this.shared)
    const dns = new DnsReader(this.shared)
    return {
      bucketsOf: (source, slot, nowMs) => reader.read(source, slot, this.pipeline.policy, nowMs),
      dnsBucketsOf: (source, set, nowMs) => reader.readDns(source, set, this.pipeline.policy, nowMs),
      walksOf: (source, nowMs) => dns.walks(source, this.pipeline.policy, nowMs),
      clear: (source, slots) => slots.forEach((slot) => void reader.clear(source, slot)),
    }
  }

  swap(policy: Policy): void {
    this.pipeline.policy = compilePolicy(policy, this.slots)
  }

  /** `verdict reason`, such as `drop source-limit`. */
  send(fields: PacketFields, nowMs: number): string {
    const bytes = packet({ sequence: ++this.#sequence, ...fields })
    const verdict = this.pipeline.judge(bytes, 0, bytes.length, nowMs)
    return `${VERDICTS[verdict]} ${REASONS[this.pipeline.reason]!.name}`
  }

  /** How many of `count` packets, one every `everyMs` from `startMs` on, are accepted. */
  accepted(count: number, fields: PacketFields, startMs: number, everyMs = 0): number {
    let accepted = 0
    for (let i = 0; i < count; i++) {
      if (this.send(fields, startMs + i * everyMs).startsWith('accept')) accepted++
    }
    return accepted
  }
}
