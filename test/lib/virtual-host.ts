import pino from 'pino'
import type { Policy } from '../../src/config/policy.ts'
import { Bans } from '../../src/control/bans/bans.ts'
import { MemoryBanSets } from '../../src/control/bans/memory-ban-sets.ts'
import { Log } from '../../src/control/log/log.ts'
import { LogLimiter } from '../../src/control/log/log-limiter.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import type { PacketFields } from './packets.ts'
import { TestPath } from './path.ts'

/**
 * A host under `policy` in which time is a number: the real path and the real bans, with sets in memory in
 * place of the kernel's.
 */
export class VirtualHost {
  nowMs = 0
  readonly path: TestPath
  readonly bans: Bans
  readonly #policy: Policy

  constructor(policy: Policy) {
    const now = () => this.nowMs
    this.#policy = policy
    this.path = new TestPath(policy)
    this.bans = new Bans({
      mode: 'enforce',
      sets: new MemoryBanSets(policy.ban.maxEntries, now),
      policy: policy.ban,
      log: new Log(pino({ enabled: false }), new LogLimiter({ burst: 1, perSecond: 1, now })),
      onBanned: () => {},
      now,
      random: () => 0,
    })
  }

  /** `banned`, where the kernel's set drops it before the path sees it, or else the path's answer. */
  send(fields: PacketFields): string {
    const source = parsePrefix(fields.from)
    const service = this.#policy.services.find(({ ports }) =>
      ports.some(({ first, last }) => first <= fields.port && fields.port <= last),
    )
    if (this.bans.ledger.covering(source).some(({ scope }) => scope === 'all' || scope === service?.name)) {
      return 'banned'
    }
    const answer = this.path.send(fields, this.nowMs)
    this.bans.punish(
      this.path.promotions.drain().map((each) => ({
        source: each.source,
        service: this.path.slots.nameOf(each.serviceSlot)!,
        reason: 'strikes',
        proof: 'none' as const,
      })),
    )
    return answer
  }
}
