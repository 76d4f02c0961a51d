import { describe, expect, test } from 'vitest'
import type { Policy } from '../../src/config/policy.ts'
import { reloadable } from '../../src/control/pending.ts'
import { hasNetAdmin, requireNetAdmin } from '../../src/control/privileges.ts'
import { findInode, findPortId } from '../../src/control/threads/queue-holder.ts'
import { EXIT } from '../../src/failure.ts'
import { policy, service } from '../lib/policies.ts'

describe('what a reload brings into force', () => {
  const running = policy([service('ssh', 22)])

  test.each<[string, Partial<Policy>, string[]]>([
    ['nothing', {}, []],
    ['services, mode and allow list', { services: [service('web', 80)], mode: 'shadow', allow: [] }, []],
    ['ban times', { ban: { ...running.ban, firstMs: 1, factor: 2 } }, []],
    ['the log level', { log: { ...running.log, level: 'debug' } }, []],
    ['threads and sources', { threads: 2, sources: 4096 }, ['threads', 'sources']],
    [
      'parts of the queue',
      { queue: { ...running.queue, first: 1, copyBytes: 128 } },
      ['queue.first', 'queue.copy'],
    ],
    ['metrics that were off', { metrics: { address: '::1', port: 1 } }, ['metrics']],
    ['the control socket', { control: { socket: '/x', group: 'sluice' } }, ['control.socket']],
    ['the place of the store', { state: { directory: '/x' } }, ['state']],
    ['the size of ban sets', { ban: { ...running.ban, maxEntries: 5 } }, ['ban.maxEntries']],
    ['terms of trust', { trust: { ...running.trust!, firstMs: 1 } }, []],
    ['trust that was on', { trust: undefined }, ['trust']],
    ['the log format', { log: { ...running.log, format: 'pretty' } }, ['log.format']],
  ])('%s', (_, changes, pending) => {
    const loaded = { ...running, ...changes }
    const result = reloadable(running, loaded)
    expect([...result.pending].sort()).toEqual([...pending].sort())
    if (pending.length === 0) expect(result.policy).toEqual(loaded)
    else expect(result.policy).toEqual(running)
  })
})

describe('CAP_NET_ADMIN', () => {
  test.each([
    ['root', '000001ffffffffff', true],
    ['a unit with that and CAP_NET_RAW', '0000000000003000', true],
    ['CAP_NET_RAW alone', '0000000000002000', false],
    ['nobody', '0000000000000000', false],
  ])('%s', (_, hex, has) => {
    expect(hasNetAdmin(`Name:\tnode\nCapPrm:\t0000000000003000\nCapEff:\t${hex}\n`)).toBe(has)
  })

  test('its absence is refused with how to get it', () => {
    const attempt = () => requireNetAdmin('CapEff:\t0000000000000000\n')
    expect(attempt).toThrow(
      expect.objectContaining({ status: EXIT.noPermission, remedy: expect.stringContaining('sudo') }),
    )
  })
})

describe('who holds a queue', () => {
  const QUEUES =
    ' 7  4711     0 2   256     0     0        0  1\n    9 -1234567     0 2   256     0     0        0  1\n'
  const NETLINK = `sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000000000000 0   4711       00000000 0        0        0     2        0        11
0000000000000000 12  4711       00000000 0        0        0     2        0        12
0000000000000000 12  4293732729 00000000 0        0        0     2        0        13
`
  test.each([
    [7, 4711, '12'],
    [9, -1_234_567, '13'],
  ])('queue %i', (queue, portId, inode) => {
    expect(findPortId(QUEUES, queue)).toBe(portId)
    expect(findInode(NETLINK, portId)).toBe(inode)
  })

  test('a queue that nobody holds', () => {
    expect(findPortId(QUEUES, 8)).toBeUndefined()
    expect(findPortId('', 8)).toBeUndefined()
    expect(findInode(NETLINK, 1)).toBeUndefined()
  })
})
