import type { Prefix } from '../net/prefix.ts'
import { PrefixTable } from '../net/prefix-table.ts'
import { decode, type PacketView } from '../path/decode.ts'
import { REASONS, Reason, type ReasonName } from '../path/reasons.ts'
import { AskedQueries } from './asked-queries.ts'
import { Attempt } from './attempt.ts'
import { Direction } from './capture/link-layer.ts'
import type { CapturedPacket } from './capture/packet.ts'
import { CaptureClock } from './capture-clock.ts'
import type { Engine } from './engine.ts'
import { type Flow, FlowTracker } from './flows/flow-tracker.ts'
import { type Inference, LocalInference } from './local.ts'
import type { Moment } from './moment.ts'
import { Sample } from './sample.ts'

const TCP = 6
const DNS = 53
const SYN = 0x02
const SYN_ACK = 0x12
const SYN_ACK_FIN_RST = 0x17

// Constants of this module cost compiled code nothing; an import is looked up each time.
const { noService: NO_SUCH_PROTOCOL, withinLimit: READABLE } = Reason
const OUTBOUND = Direction.outbound

/** How many IP packets of a capture were what to the limiter. */
export interface TrafficCounts {
  /** TCP packets of connections: never judged. */
  connections: number
  /** Neither TCP nor UDP. */
  otherProtocols: number
  /** SYNs and datagrams to ports of no service. */
  otherPorts: number
  /** SYNs and datagrams to service ports of other hosts: outbound, or passing by. */
  notInbound: number
  /** SYNs and datagrams to service ports of this host: these were offered to the engines. */
  inbound: number
  /** Datagrams from port 53 to this host, to ports of no service, that answer nothing: so were these. */
  unasked: number
  /** Not understood, by reason; `cut-short` where the capture left out what was needed. */
  unreadable: Map<ReasonName | 'cut-short', number>
}

/** What is held back until it is known which addresses are local. */
interface Held {
  readonly packets: Sample
  readonly locals: LocalInference
  /** From the answers alone. */
  readonly answered: LocalInference
}

/**
 * The way of a capture's packets to the engines. The kernel's part in it: of TCP, only SYNs of new
 * connections; of UDP, all to service ports, and answers from port 53 to what nobody here has asked. And which of them are inbound: those to `local` addresses,
 * or, where these are not given, to those inferred from the first attempts, which are held back till then.
 */
export class Intake {
  readonly clock = new CaptureClock()
  readonly counts: TrafficCounts = {
    connections: 0,
    otherProtocols: 0,
    otherPorts: 0,
    notInbound: 0,
    inbound: 0,
    unasked: 0,
    unreadable: new Map(),
  }
  /** Unix time of the earliest and the latest packet. */
  firstMs = Number.POSITIVE_INFINITY
  lastMs = Number.NEGATIVE_INFINITY
  /** `undefined` where the addresses were given, or are not inferred yet. */
  inference: Inference | undefined
  declare private readonly engines: readonly Engine[]
  declare private readonly attempt: Attempt
  /** Made when the first connection is let through: its tables take longer than many a capture. */
  #flows: FlowTracker | undefined
  /** By port: 1 where some engine has a service. */
  declare private readonly isServed: Uint8Array
  declare private readonly isServedByUdp: Uint8Array
  /** Made when this host first asks. */
  #asked: AskedQueries | undefined
  #local: PrefixTable<true> | undefined
  #sample: Held | undefined
  /** The IPv4 address of this host that was last asked for something, if one was. */
  private hasLastLocal = false
  private lastLocal = 0

  constructor(engines: readonly Engine[], local: readonly Prefix[] | undefined) {
    this.engines = engines
    this.attempt = new Attempt()
    this.isServed = new Uint8Array(65_536)
    this.isServedByUdp = new Uint8Array(65_536)
    for (const { policy } of engines) {
      for (const { protocol, first, last } of policy.services.flatMap(({ ports }) => ports)) {
        const isServed = protocol === 'tcp' ? this.isServed : this.isServedByUdp
        isServed.fill(1, first, last + 1)
      }
    }
    if (local === undefined)
      this.#sample = { packets: new Sample(), locals: new LocalInference(), answered: new LocalInference() }
    else this.#local = tableOf(local)
  }

  take(packet: CapturedPacket): void {
    const { clock, attempt } = this
    const { timeMs } = packet
    clock.see(packet)
    if (timeMs < this.firstMs) this.firstMs = timeMs
    if (timeMs > this.lastMs) this.lastMs = timeMs
    attempt.bytes = packet.bytes
    attempt.offset = packet.offset
    attempt.length = packet.length
    const reason = decode(attempt.view, packet.bytes, packet.offset, packet.length)
    if (reason === NO_SUCH_PROTOCOL) this.counts.otherProtocols++
    else if (reason !== READABLE) this.#countUnreadable(packet, reason)
    else if (this.#isForUs(packet)) {
      attempt.timeMs = timeMs
      attempt.nowMs = clock.nowMs
      attempt.elapsedMs = clock.elapsedMs
      attempt.number = packet.number
      if (this.#sample === undefined) this.#dispatch(attempt)
      else this.#hold(attempt, this.#sample)
    }
  }

  /** After the last packet: infers from what there is, if that is still to be done, and ends what is over. */
  finish(): void {
    this.#infer(true)
    this.#flows?.finish(this.clock.nowMs)
  }

  /** Connections whose sessions were forgotten for others. */
  get forgottenFlows(): number {
    return this.#flows?.forgotten ?? 0
  }

  #infer(isWhole: boolean): void {
    if (this.#sample === undefined) return
    const { packets, locals, answered } = this.#sample
    this.#sample = undefined
    // Where no service is asked for anything, whoever gets answers is this host.
    this.inference = (locals.isEmpty ? answered : locals).infer(isWhole)
    this.#local = tableOf(this.inference.prefixes)
    for (const attempt of packets.drainInto(this.attempt)) {
      decode(attempt.view, attempt.bytes, attempt.offset, attempt.length)
      this.#dispatch(attempt)
    }
  }

  /** Whether the packet in `#attempt` may concern a service; if not, it is counted. */
  #isForUs({ direction }: CapturedPacket): boolean {
    const { isServed, counts } = this
    const { view } = this.attempt
    if (!isNew(view)) {
      counts.connections++
      return (isServed[view.sourcePort]! | isServed[view.destinationPort]!) !== 0
    }
    const isFromHere = direction === OUTBOUND
    if (view.protocol !== TCP && isFromHere && view.destinationPort === DNS) {
      // Before those that are held back, which matters to nobody.
      this.attempt.nowMs = this.clock.nowMs
      this.#noteAsked(this.attempt)
    }
    const ports = view.protocol === TCP ? isServed : this.isServedByUdp
    if (ports[view.destinationPort] === 0) {
      if (!isFromHere && concernsDns(view)) return true
      counts.otherPorts++
    } else if (isFromHere) counts.notInbound++
    else return true
    return false
  }

  /** Keeps the packet until it is known which addresses are local. */
  #hold(attempt: Attempt, { packets, locals, answered }: Held): void {
    const { view } = attempt
    const isAttempt = isNew(view)
    packets.add(attempt, isAttempt)
    if (isAttempt && this.#isForService(view)) locals.see(attempt)
    else if (isAttempt && view.sourcePort === DNS) answered.see(attempt)
    if (packets.isFull) this.#infer(false)
  }

  #dispatch(attempt: Attempt): void {
    const { engines } = this
    const { view } = attempt
    const flows = this.#flows
    if (flows !== undefined && attempt.nowMs >= flows.dueMs) flows.tick(attempt.nowMs)
    if (!isNew(view)) {
      this.#follow(attempt)
    } else if (!this.#isForService(view)) {
      this.#dispatchDns(attempt)
    } else if (this.#isLocal(attempt)) {
      this.counts.inbound++
      let passedBy = 0
      for (let i = 0; i < engines.length; i++) if (engines[i]!.offer(attempt)) passedBy |= 1 << i
      if (passedBy !== 0 && view.protocol === TCP) {
        this.#flows ??= this.#createFlows()
        this.#flows.open(attempt, passedBy)
      }
    } else {
      this.counts.notInbound++
      if (view.protocol !== TCP && view.destinationPort === DNS) this.#noteAsked(attempt)
    }
  }

  /** Whether the packet goes to this host. Most go to the same address as the one before. */
  #isLocal({ view, bytes, destinationAt: at }: Attempt): boolean {
    if (view.family === 6) return this.#local!.some(6, bytes, at)
    const address = view.dataOf(bytes).getInt32(at)
    if (this.hasLastLocal && this.lastLocal === address) return true
    if (!this.#local!.some(4, bytes, at)) return false
    this.hasLastLocal = true
    this.lastLocal = address
    return true
  }

  #isForService({ protocol, destinationPort }: PacketView): boolean {
    return (protocol === TCP ? this.isServed : this.isServedByUdp)[destinationPort] === 1
  }

  #noteAsked(attempt: Attempt): void {
    this.#asked ??= new AskedQueries()
    this.#asked.ask(attempt)
  }

  /** A datagram from or to port 53 that is for no service: a query of this host, or an answer to it. */
  #dispatchDns(attempt: Attempt): void {
    const { view, bytes, destinationAt } = attempt
    if (!this.#local!.some(view.family, bytes, destinationAt)) {
      this.counts.otherPorts++
      if (view.destinationPort === DNS) this.#noteAsked(attempt)
      return
    }
    if (view.sourcePort !== DNS || this.#asked?.isAnswer(attempt)) {
      this.counts.otherPorts++
      return
    }
    this.counts.unasked++
    for (const engine of this.engines) engine.offerAnswer(attempt)
  }

  /** A TCP packet that asks for no connection, from a port of a service or to one. */
  #follow(attempt: Attempt): void {
    const { view, bytes, destinationAt } = attempt
    const { isServed } = this
    const isFromServer =
      isServed[view.sourcePort] === 1 &&
      !(isServed[view.destinationPort] === 1 && this.#local!.some(view.family, bytes, destinationAt))
    if (isFromServer && (view.tcpFlags & SYN_ACK) === SYN_ACK) {
      for (const engine of this.engines) engine.answer(attempt)
    }
    this.#flows?.follow(attempt, isFromServer)
  }

  #createFlows(): FlowTracker {
    return new FlowTracker({
      assured: (flow) => this.#tell(flow, (engine) => engine.assured(flow)),
      goesOn: (flow, nowMs) => this.#ask(flow, (engine, bit) => engine.goesOn(flow, bit, nowMs)),
      closed: (flow, knownMs) =>
        this.#tell(flow, (engine, bit) => engine.closed(flow, bit, this.#momentOf(flow), knownMs)),
    })
  }

  /** @returns a bit for each engine that says yes */
  #ask(flow: Flow, ask: (engine: Engine, bit: number) => boolean): number {
    let said = 0
    this.#tell(flow, (engine, bit) => {
      if (ask(engine, bit)) said |= bit
    })
    return said
  }

  #tell({ passedBy }: Flow, tell: (engine: Engine, bit: number) => void): void {
    for (const [i, engine] of this.engines.entries()) if (passedBy & (1 << i)) tell(engine, 1 << i)
  }

  /** When the last packet of `flow` came: at or before the one that is at hand. */
  #momentOf({ lastMs }: Flow): Moment {
    const { timeMs, elapsedMs, nowMs } = this.attempt
    const agoMs = nowMs - lastMs
    return { timeMs: timeMs - agoMs, elapsedMs: elapsedMs - agoMs }
  }

  #countUnreadable({ length, originalLength }: CapturedPacket, reason: Reason): void {
    const { unreadable } = this.counts
    const isCut = reason === Reason.malformed && length < originalLength
    const name = isCut ? 'cut-short' : REASONS[reason]!.name
    unreadable.set(name, (unreadable.get(name) ?? 0) + 1)
  }
}

/** A datagram from or to port 53. */
function concernsDns({ protocol, sourcePort, destinationPort }: PacketView): boolean {
  return protocol !== TCP && (sourcePort === DNS || destinationPort === DNS)
}

/**
 * Whether our rules would queue it: a datagram, or a SYN that conntrack calls NEW. With FIN or RST it is
 * INVALID (tcp_valid_flags in net/netfilter/nf_conntrack_proto_tcp.c), and no listener answers it.
 */
function isNew({ protocol, tcpFlags }: PacketView): boolean {
  return protocol !== TCP || (tcpFlags & SYN_ACK_FIN_RST) === SYN
}

function tableOf(prefixes: readonly Prefix[]): PrefixTable<true> {
  const table = new PrefixTable<true>()
  for (const prefix of prefixes) table.set(prefix, true)
  return table
}
