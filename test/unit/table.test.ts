import { describe, expect, test } from 'vitest'
import { BucketTable } from '../../src/path/table.ts'

function createTable(entries: number, seed = [1, 2]) {
  const stats = new Float64Array(2)
  const memory = new SharedArrayBuffer(BucketTable.bytes(entries))
  return { memory, stats, table: new BucketTable(memory, stats, Uint32Array.from(seed)) }
}

/** The set that a slot belongs to. */
const setOf = (slot: number) => slot >> 3

describe('BucketTable', () => {
  test('needs at most 64 bytes for each source', () => {
    expect(BucketTable.bytes(1_000_000) + BucketTable.bytes(125_000)).toBeLessThanOrEqual(64 * 2 ** 20)
  })

  test('holds nearly all of the sources that it promises', () => {
    const entries = 100_000
    const { stats, table } = createTable(entries)
    for (let i = 0; i < entries; i++) {
      const slot = table.insert(0, i, 1, 0)
      table.fullAtMs[slot] = 1000
    }
    let found = 0
    for (let i = 0; i < entries; i++) if (table.find(0, i, 1) >= 0) found++
    expect(found).toBeGreaterThan(entries * 0.99)
    expect(stats[1]).toBe(entries - found)
  })

  test('tells keys apart by each of their parts', () => {
    const { table } = createTable(1024)
    table.insert(1, 2, 3, 0)
    expect(table.find(1, 2, 3)).toBeGreaterThanOrEqual(0)
    for (const [high, low, tag] of [
      [2, 2, 3],
      [1, 1, 3],
      [1, 2, 4],
    ] as const)
      expect(table.find(high, low, tag)).toBe(-1)
  })

  test('forgets the bucket that is nearest to being full, and counts it only while it is not', () => {
    const { stats, table } = createTable(1)
    for (let i = 0; i < 3; i++) table.fullAtMs[table.insert(0, i, 1, 0)] = 100 * (i + 1)
    table.fullAtMs[table.insert(0, 50, 1, 150)] = 900
    expect(table.find(0, 0, 1)).toBe(-1)
    expect(stats[1]).toBe(0)
    table.insert(0, 51, 1, 150)
    expect(table.find(0, 1, 1)).toBe(-1)
    expect(table.find(0, 2, 1)).toBeGreaterThanOrEqual(0)
    expect([...stats]).toEqual([3, 1])
  })

  test('a key whose set is full finds room in another', () => {
    const { stats, table } = createTable(1024)
    const keys = Array.from({ length: 1024 }, (_, i) => i * 65_537)
    const bySet = new Map<number, number[]>()
    for (const key of keys) {
      const set = setOf(createTable(1024).table.insert(0, key, 1, 0))
      bySet.set(set, [...(bySet.get(set) ?? []), key])
    }
    const crowd = [...bySet.values()].sort((a, b) => b.length - a.length)[0]!
    expect(crowd.length).toBeGreaterThan(3)
    for (const [i, key] of crowd.entries()) table.fullAtMs[table.insert(0, key, 1, 0)] = 1000 + i
    expect(crowd.map((key) => table.fullAtMs[table.find(0, key, 1)]! - 1000)).toEqual([...crowd.keys()])
    expect([...stats]).toEqual([crowd.length, 0])
  })

  test('an offender survives a flood of forged addresses', () => {
    const { table } = createTable(1024)
    table.fullAtMs[table.insert(0, 0xc0000201, 1, 0)] = 60_000
    for (let i = 0; i < 100_000; i++) table.fullAtMs[table.insert(0, i, 1, 0)] = 10_000
    expect(table.find(0, 0xc0000201, 1)).toBeGreaterThanOrEqual(0)
  })

  test('another seed puts the keys of one set elsewhere', () => {
    const { table } = createTable(8192, [1, 2])
    const crowd = new Map<number, number[]>()
    for (let i = 0; i < 4096; i++) {
      const set = setOf(table.insert(0, i * 65_537, 1, 0))
      crowd.set(set, [...(crowd.get(set) ?? []), i * 65_537])
    }
    const { table: other } = createTable(8192, [3, 4])
    for (const keys of [...crowd.values()].filter(({ length }) => length === 3)) {
      expect(new Set(keys.map((key) => setOf(other.insert(0, key, 1, 0)))).size).toBeGreaterThan(1)
    }
  })

  test('a successor on the same memory goes on with the same buckets', () => {
    const { memory, stats, table } = createTable(1024)
    table.fullAtMs[table.insert(7, 8, 9, 0)] = 4321
    const successor = new BucketTable(memory, stats, Uint32Array.from([1, 2]))
    expect(successor.fullAtMs[successor.find(7, 8, 9)]).toBe(4321)
  })

  test('counts strikes from the first on, and anew after the window', () => {
    const { table } = createTable(16)
    const slot = table.insert(0, 1, 1, 0)
    const counts = [0, 5000, 9999, 10_000, 10_001].map((nowMs) => table.strike(slot, nowMs, 10))
    expect(counts).toEqual([1, 2, 3, 1, 2])
    table.clearStrikes(slot)
    expect(table.strike(slot, 10_002, 10)).toBe(1)
  })

  test('who came is here for 32 s when two whole steps of 16 s have passed', () => {
    const { table } = createTable(16)
    const hereMs = (cameMs: number, atMs: number) => {
      const slot = table.insert(0, cameMs, 1, 0)
      for (const ms of [cameMs, atMs]) table.attend(slot, ms)
      return table.attendedMs(slot, atMs)
    }
    expect(hereMs(15_999, 47_999)).toBe(16_000)
    expect(hereMs(15_999, 48_000)).toBe(32_000)
    expect(hereMs(0, 47_999)).toBe(16_000)
    expect(hereMs(16_000, 63_999)).toBe(16_000)
    expect(hereMs(16_000, 64_000)).toBe(32_000)
  })
})
