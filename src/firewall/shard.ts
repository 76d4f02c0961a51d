import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Family, Prefix } from '../net/prefix.ts'

/**
 * The multiplier that spreads source networks over the queues of several path threads: odd, 32 bits.
 * It is derived from the boot's random id, so that every process of one boot computes the same rules,
 * while a sender cannot know it and aim all of his networks at one queue.
 */
export function shardConstant(): number {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return (createHash('sha256').update(`sluice shard ${bootId}`).digest().readUInt32BE(0) | 1) >>> 0
}

/**
 * Classic BPF in the notation of `-m bpf --bytecode` ("COUNT,CODE JT JF K,...") that matches the packets
 * of shard `index` of `count`. The whole network of a source (IPv4 /24, IPv6 /48) falls into one shard:
 * Fibonacci hashing (Knuth, TAOCP 3, 6.4) of the network's bits by `constant`, its upper 16 bits scaled
 * to `count`. xt_bpf runs the program with offset 0 at the IP header.
 */
export function shardBytecode(family: Family, constant: number, index: number, count: number): string {
  const program = [
    ...(family === 4 ? hashOf24(constant) : hashOf48(constant)),
    '116 0 0 16', // rsh #16
    `36 0 0 ${count}`, // mul #count
    '116 0 0 16', // rsh #16
    `21 0 1 ${index}`, // jeq #index, 0, 1
    '6 0 0 65535', // ret #65535: match
    '6 0 0 0', // ret #0
  ]
  return `${program.length},${program.join(',')}`
}

/** The shard that `shardBytecode` puts the network of `source` into; the same arithmetic. */
export function shardOf({ family, bytes }: Prefix, constant: number, count: number): number {
  const source = new DataView(bytes.buffer, bytes.byteOffset)
  let hash = family === 4 ? source.getUint32(0) >>> 8 : Math.imul(source.getUint32(0), constant)
  if (family === 6) hash += source.getUint16(4)
  hash = Math.imul(hash, constant) >>> 0
  return ((hash >>> 16) * count) >>> 16
}

function hashOf24(constant: number): string[] {
  return [
    '32 0 0 12', // ld [12]: source address
    '116 0 0 8', // rsh #8
    `36 0 0 ${constant}`, // mul #constant
  ]
}

function hashOf48(constant: number): string[] {
  return [
    '32 0 0 8', // ld [8]: bits 0-31 of the source address
    `36 0 0 ${constant}`, // mul #constant
    '7 0 0 0', // tax
    '40 0 0 12', // ldh [12]: bits 32-47
    '12 0 0 0', // add x
    `36 0 0 ${constant}`, // mul #constant
  ]
}
