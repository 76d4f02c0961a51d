import { writeFileSync } from 'node:fs'
import { pcap } from './capture-files.ts'
import { type PacketFields, packet } from './packets.ts'

/** An attempt and its time since the beginning of the capture. */
export interface Timed extends PacketFields {
  readonly atMs: number
}

const RAW_IP = 101

/** Writes a capture of `attempts` in the order of time; each SYN is a new one unless it names a sequence number. */
export function writeAttempts(path: string, attempts: readonly Timed[]): void {
  const sorted = [...attempts].sort((a, b) => a.atMs - b.atMs)
  const records = sorted.map(({ atMs, ...fields }, i) => ({
    seconds: 1_700_000_000 + Math.floor(atMs / 1000),
    fraction: Math.round((atMs % 1000) * 1000),
    bytes: packet({ sequence: i + 1, ...fields }),
  }))
  writeFileSync(path, pcap(records, { linkType: RAW_IP }))
}
