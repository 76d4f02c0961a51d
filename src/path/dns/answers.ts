import type { PacketView } from '../decode.ts'
import { Reason } from '../reasons.ts'
import { answerKind } from './answer-kinds.ts'
import { AnswerWindow } from './answer-window.ts'
import { DnsKind, type DnsMessage } from './message.ts'
import { parseDns } from './parse.ts'

const DNS = 53

/**
 * Answers that nobody here has asked for: they come from servers that were asked in this host's name, to
 * bury it (reflection), or in that of others by somebody who forges addresses (backscatter). They are refused
 * and counted. Their sender was used as well: this is never a strike.
 *
 * The kernel's rules have let those through that answer a question of this host.
 */
export class Answers {
  readonly #kinds: Float64Array
  readonly #window: AnswerWindow

  constructor(memory: SharedArrayBuffer, kinds: Float64Array, seed: Uint32Array) {
    this.#kinds = kinds
    this.#window = new AnswerWindow(memory, seed)
  }

  /** What becomes of a datagram that goes to no service. */
  judge(message: DnsMessage, bytes: Uint8Array, view: PacketView, nowMs: number): Reason {
    if (view.sourcePort !== DNS) return Reason.noService
    const kind = parseDns(message, bytes, view.payloadStart, view.payloadEnd, view.isPayloadCut)
    // A question, as old resolvers send it from there.
    if (kind !== DnsKind.answer && kind !== DnsKind.malformed && kind !== DnsKind.cutShort)
      return Reason.noService
    this.#kinds[answerKind(message)]!++
    this.#window.count(view.sourceHigh, view.sourceLow, nowMs)
    return Reason.unsolicitedAnswer
  }
}
