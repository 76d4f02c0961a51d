import { decode, PacketView } from '../decode.ts'
import { HeavyHitters } from '../heavy-hitters.ts'
import { LookupRing } from '../lookup-ring.ts'
import { Reason } from '../reasons.ts'
import type { SharedState } from '../shared.ts'
import { DnsKind, DnsMessage } from './message.ts'
import { parseDns } from './parse.ts'
import { countReverseNetwork } from './reverse-network.ts'

const UDP = 17
const DNS = 53

/** Linux gives the loopback interface of each network namespace this index (LOOPBACK_IFINDEX). */
const LOOPBACK_INTERFACE = 1

/**
 * Reads the queries that this host's own programs send, and hands over those that ask for the name of an
 * address: servers look up who connects to them, and so clients decide how much a resolver has to do.
 * Nothing here decides anything: such a query always passes.
 */
export class OwnQueries {
  /** Lookups that the ring had no room for. */
  readonly #lost: Float64Array
  readonly #view = new PacketView()
  readonly #message = new DnsMessage()
  readonly #ring: LookupRing
  readonly #networks: HeavyHitters
  #handedOver = 0

  constructor(shared: SharedState, lost: Float64Array) {
    this.#lost = lost
    this.#ring = new LookupRing(shared.lookups)
    this.#networks = new HeavyHitters(shared.reverseNetworks, shared.seed)
  }

  /** Takes note of the packet at `bytes[offset, offset + length)`, which leaves by interface `outInterface`. */
  note(bytes: Uint8Array, offset: number, length: number, outInterface: number, nowMs: number): void {
    const view = this.#view
    const message = this.#message
    if (decode(view, bytes, offset, length) !== Reason.withinLimit) return
    if (view.protocol !== UDP || view.destinationPort !== DNS) return
    const kind = parseDns(message, bytes, view.payloadStart, view.payloadEnd, view.isPayloadCut)
    if (kind !== DnsKind.reverse) return
    countReverseNetwork(this.#networks, message, nowMs)
    const isWhole = message.prefixLength === (message.family === 4 ? 32 : 128)
    if (!isWhole || message.hasMore) return
    const id = (bytes[message.start]! << 8) | bytes[message.start + 1]!
    if (this.#ring.push(message, id, outInterface === LOOPBACK_INTERFACE, nowMs)) this.#handedOver++
    else this.#lost[0]!++
  }

  /** How many lookups the ring has received since the last call. */
  takeHandedOver(): number {
    const handedOver = this.#handedOver
    this.#handedOver = 0
    return handedOver
  }
}
