import { expect, test } from 'vitest'
import { ANSWER_KINDS } from '../../src/path/dns/answer-kinds.ts'
import { TestPath } from '../lib/path.ts'
import { policy, service } from '../lib/policies.ts'

/** An answer to a question for `type`, or another message with these flags. */
function message(type: number, flags = 0x8180): Uint8Array {
  const header = [0, 1, flags >> 8, flags & 255, 0, 1, 0, 0, 0, 0, 0, 0]
  return Uint8Array.from([...header, 1, 0x61, 4, 0x74, 0x65, 0x73, 0x74, 0, type >> 8, type & 255, 0, 1])
}

function pathOf(mode: 'enforce' | 'shadow' = 'enforce'): TestPath {
  return new TestPath(policy([service('ssh', 22)], { mode }))
}

const from53 = { from: '203.0.113.5', sourcePort: 53, port: 4711, protocol: 'udp' } as const

test('answers that nobody asked for are refused, counted by what they answer, and no strike', () => {
  const path = pathOf()
  const types = [1, 28, 12, 255, 16, 48, 46, 15]
  for (const type of types) {
    expect(path.send({ ...from53, payload: message(type) }, 0)).toBe('drop unsolicited-answer')
  }
  expect(path.send({ ...from53, payload: Uint8Array.of(1, 2, 3) }, 0)).toBe('drop unsolicited-answer')
  expect([...path.pipeline.counters.answers]).toEqual(ANSWER_KINDS.map(() => 1))
  expect([...path.pipeline.counters.strikes].some((count) => count > 0)).toBe(false)
})

test('a question from port 53, and whatever comes from another port, is none', () => {
  const path = pathOf()
  expect(path.send({ ...from53, payload: message(1, 0x0100) }, 0)).toBe('accept no-service')
  expect(path.send({ ...from53, sourcePort: 5353, payload: message(1) }, 0)).toBe('accept no-service')
  expect(path.send({ ...from53, protocol: 'tcp' }, 0)).toBe('accept no-service')
})

test('in shadow mode they pass', () => {
  expect(pathOf('shadow').send({ ...from53, payload: message(1) }, 0)).toBe('shadow unsolicited-answer')
})
