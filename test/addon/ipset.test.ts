import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { addonBuilds, buildFaultLibrary, type ProgramOptions, runProgram } from '../lib/addon-builds.ts'
import { type Host, Lab } from '../lib/lab.ts'

let lab: Lab
let host: Host
let faultLibrary: string

beforeAll(() => {
  faultLibrary = buildFaultLibrary()
  lab = Lab.create(['one'])
  host = lab.host('one')
})

beforeEach(() => {
  host.run('iptables', '-F', 'INPUT')
  host.run('ipset', 'destroy')
})

afterAll(() => lab?.close())

/** What the official tool says about a set: its header's words, and an entry per line, sorted. */
function official(set: string): { type: string; header: string; entries: string[] } {
  const lines = host.run('ipset', 'list', set).trim().split('\n')
  const field = (name: string) =>
    lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? ''
  return {
    type: field('Type'),
    header: field('Header'),
    entries: lines.slice(lines.indexOf('Members:') + 1).sort(),
  }
}

const error = (operation: string, code: string) => ({
  name: 'NetlinkError',
  code,
  message: `cannot ${operation}: ${code}`,
})

describe.each(addonBuilds())('ipset, by $name', (build) => {
  const calls = (calls: readonly (readonly unknown[])[], options?: ProgramOptions) =>
    runProgram<unknown[]>(host, build, ['kernel', 'calls', JSON.stringify(calls)], options)

  test('sets are created as the official tool would, and again without complaint', async () => {
    const create = (size: number) => [
      ['createSet', 'four', { family: 4, maxEntries: size }],
      ['createSet', 'six', { family: 6, maxEntries: size }],
    ]
    expect(await calls([...create(500), ...create(500), ...create(501)])).toEqual([
      null,
      null,
      null,
      null,
      error('create set four', 'set exists with other settings'),
      error('create set six', 'set exists with other settings'),
    ])
    expect(official('four')).toMatchObject({ type: 'hash:net', entries: [] })
    expect(official('four').header).toMatch(/^family inet hashsize \d+ maxelem 500 timeout 0/)
    expect(official('six').header).toMatch(/^family inet6 hashsize \d+ maxelem 500 timeout 0/)
  })

  test.each([
    {
      family: 4,
      network: '192.0.2.0/24',
      inside: '192.0.2.77',
      one: '198.51.100.7',
      other: '203.0.113.0/25',
    },
    {
      family: 6,
      network: '2001:db8:1::/48',
      inside: '2001:db8:1::7',
      one: '2001:db8:2::1',
      other: '2001:db8:3::/64',
    },
  ])(
    'IPv$family entries are added, tested, listed, deleted and flushed',
    async ({ family, network, inside, one, other }) => {
      const answers = await calls([
        ['createSet', 's', { family, maxEntries: 100 }],
        [
          'addEntries',
          's',
          [
            { prefix: network, timeoutSeconds: 1000 },
            { prefix: one, timeoutSeconds: 0 },
            { prefix: other, timeoutSeconds: 2_147_483 },
          ],
        ],
        ['testEntry', 's', network],
        ['testEntry', 's', inside],
        ['testEntry', 's', one],
        ['testEntry', 's', family === 4 ? '9.9.9.9' : '2620:fe::fe'],
        ['addEntries', 's', [{ prefix: network, timeoutSeconds: 2000 }]],
      ])
      expect(answers).toEqual([null, [], true, true, true, false, []])
      const { entries } = official('s')
      expect(entries.map((entry) => entry.split(' ')[0])).toEqual([network, one, other].sort())
      expect(entries.find((entry) => entry.startsWith(one))).toBe(`${one} timeout 0`)

      const [listed, sets, undeleted] = (await calls([
        ['listSet', 's'],
        ['listSets'],
        ['deleteEntries', 's', [one, inside]],
      ])) as [{ prefix: string; timeoutSeconds: number }[], unknown, unknown]
      const timeouts = Object.fromEntries(
        listed.map(({ prefix, timeoutSeconds }) => [prefix, timeoutSeconds]),
      )
      expect(Object.keys(timeouts).sort()).toEqual([network, one, other].sort())
      expect(timeouts[one]).toBe(0)
      expect(timeouts[network]).toBeGreaterThan(1900)
      expect(timeouts[network]).toBeLessThanOrEqual(2000)
      expect(timeouts[other]).toBeGreaterThan(2_147_300)
      expect(sets).toEqual([{ name: 's', entries: 3 }])
      const { code, message } = error(`delete ${inside} from set s`, 'does not exist')
      expect(undeleted).toEqual([{ index: 1, code, message }])
      expect(official('s').entries).toHaveLength(2)

      expect(await calls([['flushSet', 's'], ['listSet', 's'], ['destroySet', 's'], ['listSets']])).toEqual([
        null,
        [],
        null,
        [],
      ])
    },
  )

  test('entries of the official tool are read, whatever their timeout', async () => {
    host.run('ipset', 'create', 'theirs', 'hash:net', 'timeout', '300', 'comment', 'counters')
    host.run('ipset', 'add', 'theirs', '192.0.2.0/28', 'comment', 'by hand')
    host.run('ipset', 'create', 'plain', 'hash:net', 'family', 'inet6')
    host.run('ipset', 'add', 'plain', '2001:db8::/32')
    host.run('ipset', 'create', 'ports', 'bitmap:port', 'range', '0-100')
    const [theirs, plain, sets] = (await calls([
      ['listSet', 'theirs'],
      ['listSet', 'plain'],
      ['listSets'],
    ])) as [{ timeoutSeconds: number }[], unknown, unknown[]]
    expect(theirs).toEqual([{ prefix: '192.0.2.0/28', timeoutSeconds: expect.closeTo(295, -1) }])
    expect(plain).toEqual([{ prefix: '2001:db8::/32', timeoutSeconds: 0 }])
    expect(sets).toHaveLength(3)
    expect(sets).toContainEqual({ name: 'ports', entries: 0 })
  })

  test('errors come back per entry, by name, and the other entries are in', async () => {
    const [, refused] = await calls([
      ['createSet', 'sluice-ban-ssh-4', { family: 4, maxEntries: 2 }],
      [
        'addEntries',
        'sluice-ban-ssh-4',
        ['192.0.2.1', '2001:db8::1', '0.0.0.0/0', '192.0.2.2', '192.0.2.3'].map((prefix) => ({
          prefix,
          timeoutSeconds: 60,
        })),
      ],
    ])
    const refusal = (index: number, prefix: string, code: string) => ({
      index,
      code,
      message: `cannot add ${prefix} to set sluice-ban-ssh-4: ${code}`,
    })
    expect(refused).toEqual([
      refusal(1, '2001:db8::1', 'set does not hold this address family'),
      refusal(2, '0.0.0.0/0', 'prefix length is not allowed'),
      refusal(4, '192.0.2.3', 'set is full'),
    ])
    expect(official('sluice-ban-ssh-4').entries.map((entry) => entry.split(' ')[0])).toEqual([
      '192.0.2.1',
      '192.0.2.2',
    ])
  })

  test('a missing set and a set in use are named', async () => {
    host.run('ipset', 'create', 'used', 'hash:net')
    host.run('iptables', '-A', 'INPUT', '-m', 'set', '--match-set', 'used', 'src')
    const missing = (operation: string) => error(operation, 'set does not exist')
    expect(
      await calls([
        ['addEntries', 'none', [{ prefix: '192.0.2.1', timeoutSeconds: 1 }]],
        ['deleteEntries', 'none', ['192.0.2.1']],
        ['testEntry', 'none', '192.0.2.1'],
        ['listSet', 'none'],
        ['flushSet', 'none'],
        ['destroySet', 'none'],
        ['destroySet', 'used'],
      ]),
    ).toEqual([
      missing('change set none'),
      missing('change set none'),
      missing('change set none'),
      missing('list set none'),
      missing('flush set none'),
      missing('destroy set none'),
      error('destroy set used', 'set is in use'),
    ])
  })

  test('arguments that make no sense do not reach the kernel', async () => {
    expect(
      await calls([
        ['createSet', 'a name with spaces', { family: 4, maxEntries: 1 }],
        ['createSet', 'x'.repeat(32), { family: 4, maxEntries: 1 }],
        ['createSet', 's', { family: 5, maxEntries: 1 }],
        ['createSet', 's', { family: 4, maxEntries: 0 }],
        ['addEntries', 's', [{ prefix: '192.0.2.1', timeoutSeconds: 2_147_484 }]],
      ]),
    ).toMatchObject(
      [
        { message: 'set name must be 1 to 31 printable ASCII characters: it is "a name with spaces"' },
        { message: /^set name must be 1 to 31/ },
        { message: 'family must be 4 or 6: it is 5' },
        { message: 'maxEntries must be a whole number from 1 to 4294967295: it is 0' },
        { message: 'timeoutSeconds must be a whole number from 0 to 2147483: it is 2147484' },
      ].map(({ message }) => ({ message: expect.stringMatching(message) })),
    )
  })

  test('65,000 entries go in without a process, are listed, and are deleted', async () => {
    const report = await runProgram<{ addMs: number }>(host, build, ['kernel', 'many entries'])
    expect(report).toEqual({
      addMs: expect.any(Number),
      refused: [0, 0],
      listed: 65_000,
      first: expect.closeTo(5, -1),
      wrong: 0,
      sets: [{ name: 'many', entries: 65_000 }],
      undeleted: [
        {
          index: 65_000,
          code: 'does not exist',
          message: 'cannot delete 192.0.2.1 from set many: does not exist',
        },
      ],
      left: 0,
    })
  })

  test('300 refusals of one call all come back', async () => {
    const prefixes = Array.from({ length: 300 }, (_, i) => `192.0.${i >> 8}.${i & 255}`)
    const [, refused] = (await calls([
      ['createSet', 's', { family: 4, maxEntries: 10 }],
      ['deleteEntries', 's', prefixes],
    ])) as [null, { index: number }[]]
    expect(refused.map(({ index }) => index)).toEqual([...prefixes.keys()])
  })

  test('without the capability the error says so', async () => {
    const wrapper = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']
    const denied = (operation: string) => ({
      ...error(operation, 'EPERM'),
      message: `cannot ${operation}: EPERM (CAP_NET_ADMIN is missing)`,
    })
    const entries = Array.from({ length: 200 }, () => ({ prefix: '192.0.2.1', timeoutSeconds: 1 }))
    expect(await calls([['listSets'], ['addEntries', 's', entries]], { wrapper })).toEqual([
      denied('list sets'),
      denied('change set s'),
    ])
  })

  test.each([
    { fault: 'answer-eintr:3', answer: [] },
    { fault: 'answer-foreign:1', answer: error('list sets', 'ETIMEDOUT') },
    { fault: 'answer-enobufs:1', answer: error('list sets', 'ENOBUFS') },
    { fault: 'answer-cut:1', answer: error('list sets', 'EPROTO') },
    { fault: 'answer-truncated:1', answer: error('list sets', 'EMSGSIZE') },
  ])('$fault of the kernel is survived or reported', async ({ fault, answer }) => {
    expect(await calls([['listSets']], { env: { FAULT: fault }, preload: [faultLibrary] })).toEqual([answer])
  })
})
