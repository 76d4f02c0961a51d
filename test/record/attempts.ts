import { execFileSync } from 'node:child_process'
import type { Protocol } from '../../src/config/policy.ts'
import { SERVER } from '../lib/scene.ts'

/** A SYN or a datagram to the server. */
export interface Attempt {
  /** Since the first packet of the capture. */
  readonly atS: number
  readonly from: string
  readonly protocol: Protocol
  /** Where to. */
  readonly port: number
  /** Where from, of UDP. */
  readonly fromPort: number | undefined
  /** The name that a PTR query asks for. */
  readonly reverseName: string | undefined
  /** The same for a SYN that is sent again. */
  readonly identity: string
}

const WANTED = '(tcp.flags.syn == 1 && tcp.flags.ack == 0) || udp'

/** By their names in tshark. Those of the other family and protocol are empty. */
const COLUMNS = [
  'frame.time_relative',
  'ip.src',
  'ipv6.src',
  'ip.dst',
  'ipv6.dst',
  'tcp.dstport',
  'udp.dstport',
  'tcp.srcport',
  'udp.srcport',
  'tcp.seq_raw',
  'dns.qry.name',
  'dns.qry.type',
]
const PTR = '12'

/** The attempts that tshark finds in the capture at `path`. */
export function readAttempts(path: string): Attempt[] {
  const columns = COLUMNS.flatMap((name) => ['-e', name])
  // An ICMP error holds a second header: only the first of each counts.
  const args = ['-n', '-r', path, '-Y', WANTED, '-T', 'fields', '-E', 'occurrence=f', ...columns]
  const output = execFileSync('tshark', args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    // It says that it should not run as root.
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const rows = output.split('\n').filter(Boolean)
  return rows.flatMap((row) => {
    const [time, from4, from6, to4, to6, tcpPort, udpPort, sourcePort, fromPort, sequence, name, type] =
      row.split('\t')
    const to = to4 || to6
    if (to !== SERVER[4] && to !== SERVER[6]) return []
    const from = from4 || from6 || ''
    return {
      atS: Number(time),
      from,
      protocol: tcpPort ? 'tcp' : 'udp',
      port: Number(tcpPort || udpPort),
      fromPort: fromPort ? Number(fromPort) : undefined,
      reverseName: type === PTR ? name : undefined,
      identity: `${from} ${sourcePort} ${tcpPort} ${sequence}`,
    }
  })
}
