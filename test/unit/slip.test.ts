import { describe, expect, test } from 'vitest'
import { PolicyError, parsePolicy } from '../../src/config/load.ts'
import { proveResolvers } from '../../src/control/dns/follow-slip.ts'
import { Slip } from '../../src/control/dns/slip.ts'
import { pathClockMs } from '../../src/control/threads/path-clock.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import { Known, KnownGood } from '../../src/path/known-good.ts'
import { ServiceSlots } from '../../src/path/service-slots.ts'
import { sourceKey } from '../../src/path/source-ring.ts'
import { policy, service } from '../lib/policies.ts'

const dnsOn = (...ports: string[]) =>
  `services: {dns: {ports: [${ports.join(', ')}], limits: {source: {burst: 1, rate: 1/s}}}}\n`

describe('slip', () => {
  test.each<[string, string, number]>([
    ['is on by itself with 53/tcp', dnsOn('53/udp', '53/tcp'), 2],
    ['is off by itself without', dnsOn('53/udp'), 0],
    ['can be switched off', `${dnsOn('53/udp', '53/tcp')}dns: {slip: 0}`, 0],
  ])('%s', (_, text, slip) => {
    expect(parsePolicy(text, 'p').dns.slip).toBe(slip)
  })

  test('is refused where a DNS service has no TCP port to come back to', () => {
    expect(() => parsePolicy(`${dnsOn('53/udp', '5300/udp', '53/tcp')}dns: {slip: 2}`, 'p')).toThrow(
      PolicyError,
    )
    expect(() => parsePolicy(`${dnsOn('53/udp')}dns: {slip: 2}`, 'p')).toThrow(
      'p:2:13: dns.slip: asks clients to come back over TCP, where a DNS service has no port; ' +
        'write 0, or add its ports as /tcp and let the server listen there',
    )
  })
})

describe('who was asked to come back over TCP and does', () => {
  const source = parsePrefix('192.0.2.1')
  const slots = new ServiceSlots()
  slots.update(['ssh', 'dns'])
  const DNS = slots.slotOf('dns')
  const { high, low } = sourceKey(source)
  const view = { family: 4 as const, sourceHigh: high, sourceLow: low }

  function prove(askedAtMs: number | undefined, name: string): Known {
    const known = new KnownGood(KnownGood.create())
    const handedOver = { source, serviceSlot: DNS, detail: 0, atMs: askedAtMs ?? 0 }
    const threads = { known, drainSlipped: () => (askedAtMs === undefined ? [] : [handedOver]) }
    const state = {
      policy: policy([service('ssh', 22), service('dns', 53, { dns: true })]),
      slip: new Slip(),
      slots,
      threads,
    }
    proveResolvers(state, [{ source, service: name }])
    expect(state.slip.proven).toBe(known.size)
    return known.source(view, DNS, pathClockMs())
  }

  test('is known good to the DNS service', () => {
    expect(prove(pathClockMs() - 100, 'dns')).toBe(Known.resolver)
  })

  test.each<[string, number | undefined, string]>([
    ['who was not asked', undefined, 'dns'],
    ['who takes too long', pathClockMs() - 100_000, 'dns'],
    ['who goes to another service', pathClockMs() - 100, 'ssh'],
  ])('but not %s', (_, askedAtMs, name) => {
    expect(prove(askedAtMs, name)).toBe(Known.none)
  })
})
