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

interface Entered {
  readonly source: string
  readonly destination?: string
  readonly port?: number
  readonly zone?: readonly string[]
  readonly isAssured?: boolean
}

/** Enters flows into the kernel's table by the official tool. */
function enter(...flows: readonly Entered[]): void {
  const lines = flows.map(({ source, destination = '203.0.113.22', port = 1, zone = [], isAssured = true }) =>
    [
      `-I -p tcp -s ${source} -d ${destination} --sport ${port} --dport 2222 --state ESTABLISHED -t 600`,
      isAssured ? '-u ASSURED,SEEN_REPLY' : '-u SEEN_REPLY',
      ...zone,
    ].join(' '),
  )
  host.run('sh', '-c', `printf '%s\\n' "$@" | conntrack -R -`, 'sh', ...lines)
}

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
  const run = <T>(scenario: string, argument?: string, options?: ProgramOptions) =>
    runProgram<T>(host, build, ['flows', scenario, ...(argument === undefined ? [] : [argument])], options)
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
    const { heard, listed, asked, counted, after } = await run<{
      heard: Seen[]
      listed: Seen[]
      asked: Seen[]
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
    // What an event names can be asked for; the other port has no rule for events.
    expect(asked.filter(({ port }) => port === 2222).map(({ age: _, ...flow }) => flow)).toEqual(
      heard.slice(0, 2).map(({ key }) => {
        const { age: _, ...flow } = listed.find((each) => each.key === key)!
        return flow
      }),
    )
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
    const report = await run<{ heard: number; counted: Record<string, number> }>(
      'faults',
      undefined,
      withFault(fault),
    )
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
    expect(await run('dump', undefined, withFault(fault))).toMatchObject(report)
  })

  test('without CAP_NET_ADMIN it says so', async () => {
    const wrapper = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']
    expect(await run('dump', undefined, { wrapper })).toMatchObject({
      code: 'EPERM',
      message: 'cannot list connections: EPERM (CAP_NET_ADMIN is missing)',
    })
  })

  const SOURCE = '192.0.2.1'
  const six = { source: '2001:db8::1', destination: '2001:db8::22' }
  const alike = [{ source: SOURCE }, { source: SOURCE, zone: ['--zone', '3'] }]
  const directed = { source: SOURCE, port: 5, zone: ['--orig-zone', '5'] }
  const elsewhere = { source: SOURCE, destination: '203.0.113.23' }

  test.each([
    { gone: '', left: 6, what: 'is the one that was meant, whatever is like it in other zones' },
    { gone: '203.0.113.22', left: 3, what: 'is missing once it is gone' },
  ])('a flow that is asked for $what', async ({ gone, left }) => {
    enter(...alike, directed, elsewhere, six, { ...six, port: 2 })
    const answers = await run<{ address: string; isSame: boolean; answers: number }[]>('askEach', gone)
    expect(answers).toHaveLength(6)
    const found = answers.filter(({ isSame }) => isSame)
    expect(found).toHaveLength(left)
    expect(new Set(found.map(({ address }) => address))).toEqual(new Set([SOURCE, six.source]))
    for (const each of answers) expect(each.answers).toBe(each.isSame ? 1 : 0)
  })

  test('one that is not assured is none', async () => {
    enter({ source: SOURCE }, { source: '192.0.2.2', isAssured: false })
    const { listed, asked } = await run<{ listed: number[]; asked: number[] }>('askAll')
    expect(listed).toHaveLength(1)
    expect(asked).toEqual(listed)
  })

  test('many are asked for in several datagrams, and answered in order', async () => {
    enter(
      ...Array.from({ length: 200 }, (_, i) => ({
        ...(i % 2 === 0 ? six : { source: SOURCE }),
        port: i + 1,
      })),
    )
    const { listed, asked } = await run<{ listed: number[]; asked: number[] }>('askAll')
    expect(new Set(listed).size).toBe(200)
    expect(asked).toEqual(listed)
  })

  test.each([
    { family: '0', refusal: 'cannot ask for connections: EINVAL' },
    { family: '255', refusal: 'cannot ask for connections: EINVAL' },
  ])('a record of family $family is refused', async ({ family, refusal }) => {
    enter({ source: SOURCE }, six)
    expect(await run('askAll', family)).toEqual({ name: 'NetlinkError', code: 'EINVAL', message: refusal })
  })

  test('one that the kernel refuses is no flow that is gone', async () => {
    enter({ source: SOURCE }, six)
    // The first request is that for all flows.
    const report = await run('askAll', undefined, withFault('no-conntrack-flow:1'))
    expect(report).toMatchObject({ code: 'EINVAL', message: 'cannot ask for connections: EINVAL' })
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
