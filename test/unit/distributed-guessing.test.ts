import { expect, test } from 'vitest'
import { loadPolicy } from '../../src/config/load.ts'
import { VirtualEvidence } from '../lib/evidence.ts'
import { TestPath } from '../lib/path.ts'

// An hour of an attack from 2,000 addresses in seconds: SYNs go through the real path, and what it lets in
// becomes a session that has failed. test/kernel/evidence.test.ts has a slice of this on a wire.

const ADMIN = { from: '198.51.100.7', port: 22 }

test('of 2,000 addresses that try once in 10 minutes each, few get through; the administrator always does', () => {
  const policy = loadPolicy('rules/sluice.yaml')
  const { burst, ratePerSecond } = policy.services.find(({ name }) => name === 'ssh')!.limits.total!
  const path = new TestPath(policy)
  const host = new VirtualEvidence(policy, path.known)
  const startMs = host.nowMs
  host.session(ADMIN.from, 'succeeded')
  // Each in a network of its own, so that nothing but the total and its own failures stops it.
  const guessers = Array.from({ length: 2000 }, (_, i) => `10.${i >> 8}.${i & 255}.1`)
  const banned = new Set<string>()
  const tries = new Array<number>(120).fill(0)
  const refusals: string[] = []
  for (let second = 0; second < 120 * 60; second++) {
    host.nowMs = startMs + second * 1000
    for (let i = Math.ceil((second % 600) / 0.3); i * 0.3 < (second % 600) + 1 && i < 2000; i++) {
      const from = guessers[i]!
      if (banned.has(from) || !path.send({ from, port: 22 }, host.nowMs).startsWith('accept')) continue
      tries[Math.floor(second / 60)]!++
      for (const prefix of host.session(from, 'failed')) banned.add(prefix)
    }
    // A login every other minute, each good for an hour and more.
    if (second % 120 !== 60) continue
    const answer = path.send(ADMIN, host.nowMs)
    if (answer !== 'accept known-good') refusals.push(`${second}: ${answer}`)
    host.session(ADMIN.from, 'succeeded')
  }
  expect(refusals).toEqual([])
  // sshd sees the strangers' limit at most, in any minute and over all,
  expect(Math.max(...tries.slice(1))).toBeLessThanOrEqual(ratePerSecond * 60 + burst)
  expect(tries.reduce((a, b) => a + b)).toBeLessThanOrEqual(ratePerSecond * 7200 + burst)
  // until each has used up his own tries.
  expect(banned.size).toBe(2000)
})
