import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { SessionNews } from '../../src/control/sessions/session-tracker.ts'
import { ASKED_MAX } from '../../src/control/sessions/session-tracker.ts'
import { SessionWatch } from '../../src/control/sessions/session-watch.ts'
import { FLOW_EVENT_COUNTERS } from '../../src/kernel/flow-events.ts'
import { type Flows, TCP_STATE } from '../../src/kernel/flows.ts'
import { NetlinkError } from '../../src/kernel/netlink-error.ts'
import { type FlowFields, flows } from '../lib/flow-records.ts'

/** The kernel's part: what is in conntrack, what looking at it takes, and the looks that there were. */
const kernel = vi.hoisted(() => ({
  flows: [] as FlowFields[],
  wholeMs: 0,
  partMs: 0,
  refuses: false,
  hasEvents: true,
  overruns: 0,
  hear: (_flows: Flows) => {},
  /** All looks together: the monotonic clock is so far ahead of the timers. */
  tookMs: 0,
  looks: [] as { atMs: number; asked: number | 'all' }[],
}))

vi.mock('../../src/kernel/flows.ts', async (original) => {
  const look = (asked: number | 'all', tookMs: number) => {
    kernel.looks.push({ atMs: performance.now(), asked })
    kernel.tookMs += tookMs
    if (kernel.refuses && asked !== 0) throw new NetlinkError('list connections', 'EINVAL')
    return flows(...(asked === 0 ? [] : kernel.flows))
  }
  return {
    ...(await original<object>()),
    assuredFlows: () => look('all', kernel.wholeMs),
    flowsOf: (tuples: readonly Uint8Array[]) => look(tuples.length, kernel.partMs),
  }
})

vi.mock('../../src/kernel/flow-events.ts', async (original) => ({
  ...(await original<object>()),
  FlowEvents: class {
    constructor(_ports: unknown, onFlows: (flows: Flows) => void) {
      if (!kernel.hasEvents) throw new NetlinkError('listen', 'EPERM')
      kernel.hear = onFlows
    }

    get counters() {
      return FLOW_EVENT_COUNTERS.map((name) => (name === 'overruns' ? kernel.overruns : 0))
    }

    listenTo() {}
    close() {}
  },
}))

const SSH = [{ first: 22, last: 22 }]
const UNIX = 1_800_000_000_000
/** Long over its youth. */
const OLD: FlowFields = { from: '192.0.2.1', id: 1, startMs: UNIX - 60_000 }
/** More than a look may ask for. */
const MANY = Array.from({ length: ASKED_MAX + 1 }, (_, i) => ({ ...OLD, id: i, sourcePort: i }))

let news: SessionNews[]
let watch: SessionWatch

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] })
  vi.setSystemTime(UNIX)
  news = []
  Object.assign(kernel, {
    flows: [],
    wholeMs: 0,
    partMs: 0,
    refuses: false,
    hasEvents: true,
    overruns: 0,
    tookMs: 0,
    looks: [],
  })
})

afterEach(() => {
  watch.close()
  vi.useRealTimers()
})

function start(): void {
  watch = new SessionWatch({
    max: 10_000,
    ports: SSH,
    serviceAt: () => 'ssh',
    isOwn: () => false,
    hasTimestamps: () => true,
    hasSucceeded: () => false,
    now: () => performance.now() + kernel.tookMs,
    unixNow: () => Date.now(),
    log: { warn: () => {}, info: () => {} },
    onNews: (each) => news.push(each),
  })
  watch.start()
}

/** Looks within the next `ms`: when each was, from now on, and how many flows it asked for. */
function looksIn(ms: number): [atMs: number, asked: number | 'all'][] {
  kernel.looks = []
  const fromMs = performance.now()
  vi.advanceTimersByTime(ms)
  return kernel.looks.map(({ atMs, asked }) => [Math.round(atMs - fromMs), asked])
}

const ALL = 'all'
const event = (changes: Partial<FlowFields> = {}) => kernel.hear(flows({ ...OLD, ...changes }))

test('with nothing open, all flows are looked at when it starts and each five seconds', () => {
  start()
  expect(kernel.looks).toMatchObject([{ asked: ALL }])
  expect(looksIn(11_000)).toEqual([
    [5000, ALL],
    [10_000, ALL],
  ])
  expect([watch.looks, watch.wholeLooks]).toEqual([3, 3])
})

describe('what an event has named', () => {
  test('is asked for soon and then each second, with all flows each five', () => {
    start()
    kernel.flows = [OLD]
    event()
    expect(looksIn(7100)).toEqual([
      [200, 1],
      [1200, 1],
      [2200, 1],
      [3200, 1],
      [4200, 1],
      [5000, ALL],
      [6000, 1],
      [7000, 1],
    ])
    expect([watch.looks, watch.wholeLooks, watch.tracker.open]).toEqual([9, 2, 1])
  })

  test('is asked for each 200 ms while it is young', () => {
    start()
    kernel.flows = [{ ...OLD, startMs: UNIX }]
    event()
    expect(looksIn(4500).map(([atMs]) => atMs)).toEqual([
      ...Array.from({ length: 15 }, (_, i) => 200 * (i + 1)),
      4000,
    ])
  })

  test('is told of with the answers, and its close within a second, with its last volume', () => {
    start()
    kernel.flows = [OLD]
    event()
    expect(news).toEqual([])
    looksIn(200)
    expect(news).toMatchObject([{ assured: [{ service: 'ssh' }], closed: [] }])
    kernel.flows = [{ ...OLD, state: TCP_STATE.timeWait, toServer: [20, 2000] }]
    looksIn(1000)
    expect(news.slice(1)).toMatchObject([{ assured: [], closed: [{ toServer: { bytes: 2000 } }] }])
    // Nothing is open any more.
    expect(looksIn(4000)).toEqual([[3800, ALL]])
  })

  test('is over at once when an event says so', () => {
    start()
    kernel.flows = [OLD]
    event()
    looksIn(200)
    event({ destroyed: true, toServer: [20, 2000] })
    expect(news[1]).toMatchObject({ closed: [{ toServer: { bytes: 2000 } }] })
    kernel.flows = []
    expect(looksIn(2000)).toEqual([[200, 0]])
  })

  test.each([
    { partMs: 10, pauseMs: 500 },
    { partMs: 60, pauseMs: 1000 },
    { partMs: 200, pauseMs: 2000 },
  ])(
    'is asked for later where that takes $partMs ms: a fiftieth of the time, or a tenth from a second on',
    ({ partMs, pauseMs }) => {
      start()
      kernel.partMs = partMs
      event()
      expect(looksIn(400)).toEqual([[200, 1]])
      event()
      expect(looksIn(2100)).toEqual([[pauseMs, 1]])
    },
  )
})

describe('all flows are looked at', () => {
  test.each([
    { why: 'events were lost', cause: () => Object.assign(kernel, { overruns: 3 }) },
    { why: 'more is named than is worth asking for', cause: () => kernel.hear(flows(...MANY)) },
    { why: 'the ports change', cause: () => Object.assign(watch, { ports: SSH }) },
  ])('once, after an event, when $why', ({ cause }) => {
    start()
    kernel.flows = [OLD]
    event()
    expect(looksIn(1500).map(([, asked]) => asked)).toEqual([1, 1])
    cause()
    event()
    expect(looksIn(2500)).toEqual([
      [200, ALL],
      [1200, 1],
      [2200, 1],
    ])
  })

  test('a second after the last time at the soonest, however often the ports change', () => {
    start()
    const all = Array.from({ length: 30 }, () => {
      watch.ports = SSH
      return looksIn(100)
    })
    expect(all.flat().map(([, asked]) => asked)).toEqual([ALL, ALL, ALL])
  })

  test('and less often where that takes long: a tenth of the time', () => {
    kernel.wholeMs = 300
    start()
    watch.ports = SSH
    expect(looksIn(4000)).toEqual([[3000, ALL]])
  })

  test('not when something is likely to have changed, or somebody waits for a proof: that is asked for', () => {
    start()
    kernel.flows = [OLD]
    event()
    looksIn(1500)
    watch.hurry()
    expect(looksIn(300)).toEqual([[200, 1]])
  })

  test('each second while more is open than is worth asking for', () => {
    kernel.flows = MANY
    start()
    event({ id: 1_000_000 })
    expect(looksIn(2500)).toEqual([
      [1000, ALL],
      [2000, ALL],
    ])
  })

  test('each second without events', () => {
    kernel.hasEvents = false
    start()
    expect(watch.eventsProblem).toContain('EPERM')
    expect(looksIn(2500)).toEqual([
      [1000, ALL],
      [2000, ALL],
    ])
  })

  test('each second after the kernel has refused to say anything, until it does again', () => {
    start()
    kernel.flows = [OLD]
    event()
    looksIn(1500)
    kernel.refuses = true
    event({ id: 2 })
    expect(looksIn(2300)).toEqual([
      [200, 2],
      [201, ALL],
      [1201, ALL],
      [2201, ALL],
    ])
    watch.hurry()
    // To ask for nothing succeeds always, and says nothing.
    expect(looksIn(300)).toEqual([])
    expect([watch.failures, watch.problem]).toEqual([4, 'cannot list connections: EINVAL'])
    // What was not seen meanwhile is not taken for gone.
    expect(news.flatMap(({ closed }) => closed)).toEqual([])
    kernel.refuses = false
    expect(looksIn(1000)).toEqual([[601, ALL]])
    expect(watch.problem).toBeUndefined()
    expect(looksIn(1000)).toEqual([[601, 1]])
  })
})
