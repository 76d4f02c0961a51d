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
  host.run(
    'sh',
    '-c',
    'for each in acct timestamp events; do echo 1 > /proc/sys/net/netfilter/nf_conntrack_$each; done',
  )
  for (const tool of ['iptables', 'ip6tables']) {
    const syn = ['-p', 'tcp', '--syn', '--dport', '2222']
    // On loopback a connection begins in OUTPUT.
    host.run(tool, '-t', 'raw', '-A', 'OUTPUT', ...syn, '-j', 'CT', '--ctevents', 'destroy,assured')
    host.run(tool, '-A', 'INPUT', '-m', 'conntrack', '--ctstate', 'NEW')
  }
})

beforeEach(() => {
  for (const family of ['ipv4', 'ipv6']) host.run('conntrack', '-F', '-f', family)
})

afterAll(() => lab?.close())

const NOTHING_WRONG = {
  overruns: 0,
  interrupted: 0,
  receiveErrors: 0,
  truncated: 0,
  malformed: 0,
  foreign: 0,
  callbackErrors: 0,
}

describe.each(addonBuilds())('flows, by $name', (build) => {
  const run = <T>(scenario: string, options?: ProgramOptions) =>
    runProgram<T>(host, build, ['flows', scenario], options)
  const withFault = (fault: string) => ({ env: { FAULT: fault }, preload: [faultLibrary] })

  interface Seen {
    address: string
    port: number
    state: number
    destroyed: boolean
    key: number
    age: number | null
    toServer: [number, number]
    toClient: [number, number]
  }

  test('one event when assured, one when destroyed; ports of others are not heard of', async () => {
    const { heard, listed, counted, after } = await run<{
      heard: Seen[]
      listed: Seen[]
      counted: Record<string, number>
      after: number
    }>('events')
    const of = (address: string) => heard.filter((flow) => flow.address === address && flow.port === 2222)
    for (const address of ['127.0.0.1', '::1']) {
      const [assured, destroyed, ...more] = of(address)
      expect(more).toEqual([])
      expect(assured).toMatchObject({ destroyed: false, state: 3 })
      const flow = listed.find((each) => each.address === address)!
      expect(destroyed).toMatchObject({ destroyed: true, key: assured!.key })
      expect(destroyed).toMatchObject({ toServer: flow.toServer, toClient: flow.toClient })
      expect(flow.state).toBeGreaterThan(3)
      expect(flow.toClient[1]).toBeGreaterThan(1000)
      expect(flow.toClient[1]).toBeLessThan(2000)
      expect(flow.toServer[0]).toBeGreaterThanOrEqual(4)
      expect(flow.age).toBeGreaterThanOrEqual(0)
      expect(flow.age).toBeLessThan(60_000)
    }
    expect(listed).toHaveLength(2)
    expect(heard.filter(({ port }) => port === 3333).length).toBeGreaterThan(0)
    expect(heard.filter(({ port, address }) => port === 3333 && address === '::1')).toEqual([])
    expect(counted).toEqual({ ...NOTHING_WRONG, messages: heard.length })
    expect(after).toBe(counted.messages)
  })

  test('an overrun is counted and survived, and a dump has what was lost', async () => {
    const { overruns, before, after, listed } = await run<Record<string, number>>('overrun')
    expect(overruns).toBeGreaterThan(0)
    expect(before).toBeLessThan(200)
    expect(after).toBe(before! + 1)
    expect(listed).toBe(201)
  })

  test.each([
    { fault: 'event-eintr:3', counted: { interrupted: 3 } },
    { fault: 'event-enobufs:3', counted: { overruns: 3 } },
    { fault: 'event-eio:3', counted: { receiveErrors: 3 } },
    { fault: 'event-eagain:3', counted: {} },
    { fault: 'event-short:2', counted: { malformed: 2 } },
    { fault: 'event-stub:2', counted: { malformed: 2 } },
    { fault: 'event-zero-length:2', counted: { malformed: 2 } },
    { fault: 'event-too-long:2', counted: { malformed: 2 } },
    { fault: 'event-unknown-type:2', counted: { malformed: 2 } },
    { fault: 'event-truncated:2', counted: { truncated: 2 } },
    { fault: 'event-foreign:2', counted: { foreign: 2 } },
    { fault: 'rcvbufforce-eperm:1', counted: {} },
  ])('$fault is counted as $counted, and later events arrive', async ({ fault, counted }) => {
    const report = await run<{ heard: number; counted: Record<string, number> }>('faults', withFault(fault))
    const { messages: _, ...others } = report.counted
    expect(others).toEqual({ ...NOTHING_WRONG, ...counted })
    expect(report.heard).toBeGreaterThan(5)
  })

  test.each([
    { fault: 'answer-eintr:3', report: { flows: 0 } },
    { fault: 'answer-foreign:1', report: { code: 'ETIMEDOUT' } },
    { fault: 'answer-truncated:1', report: { code: 'EMSGSIZE' } },
    { fault: 'answer-enobufs:1', report: { code: 'ENOBUFS' } },
    { fault: 'no-conntrack:1', report: { code: 'EINVAL', message: 'cannot list connections: EINVAL' } },
  ])('a dump under $fault: $report', async ({ fault, report }) => {
    expect(await run('dump', withFault(fault))).toMatchObject(report)
  })

  test('without CAP_NET_ADMIN it says so', async () => {
    const wrapper = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']
    expect(await run('dump', { wrapper })).toMatchObject({
      code: 'EPERM',
      message: 'cannot list connections: EPERM (CAP_NET_ADMIN is missing)',
    })
  })

  test('a thread may end at any moment', async () => {
    expect(await run('threads')).toEqual([
      ['close', null],
      ['leave', null],
      ['terminate', null],
      ['throw', 'in the callback'],
    ])
  })
})
