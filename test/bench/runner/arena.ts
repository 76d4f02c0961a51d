import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import type { Family } from '../../../src/net/prefix.ts'
import { type Host, Lab } from '../../lib/lab.ts'

const exec = promisify(execFile)

/** What flood.c sends from: 256 sources to a /24 or /48. */
export const FLOOD_NETWORKS: Readonly<Record<Family, string>> = {
  4: '100.64.0.0/10',
  6: '2001:db8:f000::/36',
}

/** As flood.c has them. */
export type PacketKind = 'syn' | 'dns'

/** Reverse queries. */
type ReverseKind = 'ptr' | 'ptr-walk' | 'ip6-walk'

export interface Flood {
  /** 4 by default. */
  readonly family?: Family
  readonly kind?: PacketKind | ReverseKind
  readonly sources: number
  /** Until so many packets are sent, or so many seconds are over. */
  readonly packets?: number
  readonly seconds?: number
  /** Packets a second; as many as possible by default. */
  readonly rate?: number
}

export interface Sent {
  readonly packets: number
  readonly seconds: number
  readonly perSecond: number
}

/**
 * A server and a sender on one veth pair. Whatever packet of a flood gets past the limiters is dropped in
 * `filter INPUT`: the figures are of limiters, not of the service behind them.
 */
export class Arena {
  readonly lab: Lab
  readonly server: Host
  readonly sender: Host
  readonly #flood: string

  private constructor(flood: string) {
    this.#flood = flood
    this.lab = Lab.create(['server', 'sender'])
    this.server = this.lab.host('server')
    this.sender = this.lab.host('sender')
    // Where br_netfilter is loaded, the lab's bridge would take each packet through iptables by itself.
    this.server.run('sysctl', '-qe', '-w', 'net.bridge.bridge-nf-call-iptables=0')
    this.server.run('iptables', '-A', 'INPUT', '-s', FLOOD_NETWORKS[4], '-j', 'DROP')
  }

  static create(flood: string): Arena {
    return new Arena(flood)
  }

  /** Adds a rule such as `-t raw -A PREROUTING ... -j DROP` to the server. */
  rule(text: string): void {
    this.server.run('iptables', ...text.split(' '))
  }

  async flood({ family = 4, kind = 'syn', sources, packets, seconds, rate = 0 }: Flood): Promise<Sent> {
    const mac = this.server.run('cat', '/sys/class/net/eth0/address').trim()
    const amount = packets === undefined ? `${seconds ?? 1}s` : `${packets}`
    const args = [
      'eth0',
      mac,
      family === 4 ? this.server.ipv4 : this.server.ipv6,
      kind,
      `${sources}`,
      amount,
      `${rate}`,
    ]
    const { stdout } = await exec('ip', ['netns', 'exec', this.sender.namespace, this.#flood, ...args])
    return sentOf(stdout)
  }

  close(): void {
    this.lab.close()
  }
}

/** Packets that the rules of `table` with `target` have met so far on `host`. */
export function droppedBy(host: Host, table: string, target: string, family: Family = 4): number {
  const rows = host
    .run(iptables(family), '-t', table, '-vnxL')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
  return rows.filter((row) => row[2] === target).reduce((sum, row) => sum + Number(row[0]), 0)
}

export function iptables(family: Family): string {
  return family === 4 ? 'iptables' : 'ip6tables'
}

/** What flood.c and send-cap.mjs print. */
export function sentOf(line: string): Sent {
  const [packets = 0, nanoseconds = 0] = line.trim().split(' ').map(Number)
  return { packets, seconds: nanoseconds / 1e9, perSecond: (packets / nanoseconds) * 1e9 }
}

export interface QueueState {
  readonly waiting: number
  /** Packets that have been handed to user space. */
  readonly delivered: number
}

/** All queues of the namespace that process `pid` lives in, together. */
export function queueState(pid: number): QueueState {
  const text = readFileSync(`/proc/${pid}/net/netfilter/nfnetlink_queue`, 'utf8')
  const rows = text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
  // queue, port id, waiting, copy mode, copy range, dropped (queue), dropped (socket), last id
  const column = (at: number) => rows.reduce((sum, row) => sum + (row[at] ?? 0), 0)
  return { waiting: column(2), delivered: column(7) - column(6) }
}
