import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { shardBytecode, shardConstant, shardOf } from '../../src/firewall/shard.ts'
import type { Family, Prefix } from '../../src/net/prefix.ts'

const CONSTANT = 3_300_531_327

/** An IPv4 or IPv6 header, zero but for the source address. */
function headerFrom(source: readonly number[]): DataView {
  const header = new Uint8Array(40)
  header.set(source, source.length === 4 ? 12 : 8)
  return new DataView(header.buffer)
}

/** The kernel's classic BPF machine, as far as these programs need it (bpf(4), linux/bpf_common.h). */
function run(bytecode: string, packet: DataView): number {
  const [count, ...program] = bytecode.split(',')
  expect(program.length).toBe(Number(count))
  let a = 0
  let x = 0
  for (let at = 0; ; at++) {
    const [code, jt, jf, k] = program[at]!.split(' ').map(Number) as [number, number, number, number]
    if (code === 0x20) a = packet.getUint32(k)
    else if (code === 0x28) a = packet.getUint16(k)
    else if (code === 0x74) a = a >>> k
    else if (code === 0x24) a = Math.imul(a, k) >>> 0
    else if (code === 0x07) x = a
    else if (code === 0x0c) a = (a + x) >>> 0
    else if (code === 0x15) at += a === k ? jt : jf
    else if (code === 0x06) return k
    else throw new Error(`unknown instruction ${code}`)
  }
}

/** The shards whose program matches a packet from `source`. */
function shardsOf(source: readonly number[], count: number, constant = CONSTANT): number[] {
  const family: Family = source.length === 4 ? 4 : 6
  const packet = headerFrom(source)
  return Array.from({ length: count }, (_, i) => i).filter(
    (i) => run(shardBytecode(family, constant, i, count), packet) !== 0,
  )
}

function addressPrefix(address: readonly number[]): Prefix {
  const family = address.length === 4 ? 4 : 6
  return { family, bytes: Uint8Array.from(address), length: address.length * 8 }
}

function bytes(length: number) {
  return fc.array(fc.integer({ min: 0, max: 255 }), { minLength: length, maxLength: length })
}

describe.each<[string, number, number]>([
  ['IPv4 /24', 3, 1],
  ['IPv6 /48', 6, 10],
])('shards of an %s', (_, networkBytes, hostBytes) => {
  test('every packet of a network is in one shard, the same for all its hosts', () => {
    fc.assert(
      fc.property(
        bytes(networkBytes),
        bytes(hostBytes),
        bytes(hostBytes),
        fc.integer({ min: 2, max: 16 }),
        fc.integer({ min: 0, max: 2 ** 32 - 1 }).map((n) => (n | 1) >>> 0),
        (network, host, other, count, constant) => {
          const shards = shardsOf([...network, ...host], count, constant)
          expect(shards).toHaveLength(1)
          expect(shardsOf([...network, ...other], count, constant)).toEqual(shards)
          const source = addressPrefix([...network, ...host])
          expect(shardOf(source, constant, count)).toBe(shards[0])
        },
      ),
      { numRuns: 300 },
    )
  })

  test.each([2, 3, 4, 7])('successive networks spread evenly over %d shards', (count) => {
    const networks = 4096
    const sizes = new Array<number>(count).fill(0)
    for (let n = 0; n < networks; n++) {
      const source = [...new Array<number>(networkBytes - 2).fill(10), n >> 8, n & 255]
      const [shard] = shardsOf([...source, ...new Array<number>(hostBytes).fill(1)], count)
      sizes[shard!]!++
    }
    for (const size of sizes) expect(Math.abs(size - networks / count)).toBeLessThan((networks / count) * 0.1)
  })
})

test('the constant is odd, 32 bits wide and the same in every process of one boot', () => {
  expect(shardConstant()).toBe(shardConstant())
  expect(shardConstant() % 2).toBe(1)
  expect(shardConstant()).toBeLessThan(2 ** 32)
})
