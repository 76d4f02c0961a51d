import { expect, test } from 'vitest'
import type { Session, Volume } from '../../src/control/sessions/session.ts'
import { SessionCounts } from '../../src/control/sessions/session-counts.ts'
import { parsePrefix, widen } from '../../src/net/prefix.ts'

function session(service: string, address: string): Session {
  const prefix = parsePrefix(address)
  const volume: Volume = { packets: 12, bytes: 3500 }
  return {
    source: widen(prefix, 64),
    address: prefix,
    service,
    durationMs: 1000,
    hasTimestamps: true,
    toServer: volume,
    toClient: volume,
    isKnown: false,
  }
}

test('sessions are counted by service, begun and closed', () => {
  const counts = new SessionCounts()
  counts.addAssured('ssh', 3)
  counts.addClosed([session('ssh', '192.0.2.1'), session('smtp', '2001:db8::1'), session('ssh', '192.0.2.1')])
  expect([counts.assured('ssh'), counts.closed('ssh')]).toEqual([3, 2])
  expect([counts.assured('smtp'), counts.closed('smtp')]).toEqual([0, 1])
  expect([counts.assured('dns'), counts.closed('dns')]).toEqual([0, 0])
})
