import { beforeEach, describe, expect, test } from 'vitest'
import { ASKED_MAX, SessionTracker } from '../../src/control/sessions/session-tracker.ts'
import { TCP_STATE } from '../../src/kernel/flows.ts'
import { formatPrefix } from '../../src/net/prefix.ts'
import { type FlowFields, flows } from '../lib/flow-records.ts'

const FIN_WAIT = 4
const { lastAck, timeWait, close } = TCP_STATE
const IPV4 = '203.0.113.7'
const IPV6 = '2001:db8:7:7::1'
const UNIX = 1_800_000_000_000

/** Whether a client has TCP timestamps, by source and port. */
const known = new Map([
  [`${IPV4} 40000`, true],
  ['2001:db8:7:7::/64 40001', false],
])

let nowMs: number
let tracker: SessionTracker

beforeEach(() => {
  nowMs = 0
  tracker = create()
  // What was there before.
  tracker.look(flows())
})

function create(max = 100): SessionTracker {
  return new SessionTracker({
    max,
    serviceAt: (port) => new Map([[22, 'ssh']]).get(port),
    isOwn: (address) => formatPrefix(address) === '192.0.2.1',
    hasTimestamps: (source, port) => known.get(`${formatPrefix(source)} ${port}`),
    hasSucceeded: ({ toClient }) => toClient.bytes >= 6000,
    now: () => nowMs,
    unixNow: () => UNIX + nowMs,
  })
}

/** A look a second later. */
function look(...list: FlowFields[]) {
  nowMs += 1000
  const { assured, closed } = tracker.look(flows(...list))
  return { assured: assured.map(({ source }) => formatPrefix(source)), closed }
}

const flow = (changes: Partial<FlowFields> = {}): FlowFields => ({
  from: IPV4,
  id: 1,
  startMs: UNIX + 500,
  ...changes,
})

describe('a session', () => {
  test.each([
    { from: IPV4, source: IPV4 },
    { from: IPV6, source: '2001:db8:7:7::/64' },
  ])('of $from proves $source once, is open, and is over with its last counters', ({ from, source }) => {
    expect(look(flow({ from }))).toEqual({ assured: [source], closed: [] })
    expect(tracker.open).toBe(1)
    expect(look(flow({ from, toServer: [9, 900] }))).toEqual({ assured: [], closed: [] })
    const { closed } = look(flow({ from, state: timeWait, toServer: [10, 1000], toClient: [8, 5000] }))
    expect(closed).toMatchObject([
      {
        service: 'ssh',
        durationMs: 2500,
        toServer: { packets: 10, bytes: 1000 },
        toClient: { packets: 8, bytes: 5000 },
      },
    ])
    expect([closed[0]!.source, closed[0]!.address].map(formatPrefix)).toEqual([source, from])
    expect(tracker.open).toBe(0)
  })

  test.each([
    { from: IPV4, sourcePort: 40_000, hasTimestamps: true },
    { from: IPV6, sourcePort: 40_001, hasTimestamps: false },
    { from: IPV6, sourcePort: 40_000, hasTimestamps: undefined },
  ])(
    'of port $sourcePort of $from is known to have TCP timestamps: $hasTimestamps',
    ({ hasTimestamps, ...of }) => {
      look(flow(of))
      // What comes from there later is another connection.
      known.set(`${of.from} ${of.sourcePort}`, false)
      expect(look(flow({ ...of, state: timeWait })).closed).toMatchObject([{ hasTimestamps }])
      known.set(`${IPV4} 40000`, true)
    },
  )

  test('that has succeeded is told of while it goes on, again each ten minutes, and at its end, and is known from the second time on', () => {
    const told = (toClient: [number, number], afterMs: number, state?: number) => {
      nowMs += afterMs
      const news = tracker.look(flows(flow(state === undefined ? { toClient } : { toClient, state })))
      return [news.succeeded, news.closed].map((sessions) => sessions.map(({ isKnown }) => isKnown))
    }
    expect(told([5, 3000], 1000)).toEqual([[], []])
    expect(told([9, 7000], 1000)).toEqual([[false], []])
    expect(told([9, 8000], 599_000)).toEqual([[], []])
    expect(told([9, 9000], 1000)).toEqual([[true], []])
    expect(told([9, 9000], 1000, timeWait)).toEqual([[], [true]])
  })

  test('that is told of at its end alone is not known before', () => {
    look(flow())
    expect(look(flow({ toClient: [9, 7000], state: timeWait })).closed).toMatchObject([{ isKnown: false }])
  })

  test('is young for three seconds, while it is open: then looks come sooner', () => {
    look(flow())
    expect(tracker.changesSoon).toBe(true)
    look(flow({ state: timeWait }))
    expect(tracker.changesSoon).toBe(false)
    const next = { id: 2, startMs: UNIX + nowMs }
    const young = Array.from({ length: 3 }, () => {
      look(flow(next))
      return tracker.changesSoon
    })
    expect(young).toEqual([true, true, false])
  })

  test('is told of once, as long as conntrack keeps it', () => {
    look(flow())
    expect(look(flow({ state: timeWait })).closed).toHaveLength(1)
    expect(look(flow({ state: timeWait })).closed).toEqual([])
    expect(tracker.hear(flows(flow({ state: timeWait, destroyed: true }))).closed).toEqual([])
    expect(look().closed).toEqual([])
  })

  test('that began and ended between two looks is seen', () => {
    const news = look(flow({ state: timeWait }))
    expect(news.assured).toEqual([IPV4])
    expect(news.closed).toHaveLength(1)
  })

  test('half closed is open; with the last acknowledgement to come, it is over a look later', () => {
    look(flow())
    expect(look(flow({ state: FIN_WAIT })).closed).toEqual([])
    expect(look(flow({ state: lastAck, toServer: [5, 500] })).closed).toEqual([])
    const { closed } = look(flow({ state: timeWait, toServer: [6, 552] }))
    expect(closed).toMatchObject([{ toServer: { packets: 6, bytes: 552 } }])
  })

  test('that stays at the last acknowledgement is over a look later all the same', () => {
    look(flow({ state: lastAck }))
    expect(look(flow({ state: lastAck })).closed).toHaveLength(1)
  })

  test('that is gone from one look may have slipped through; from two, it is over with what was known', () => {
    look(flow({ toServer: [7, 700] }))
    expect(look().closed).toEqual([])
    expect(look(flow({ toServer: [8, 800] })).closed).toEqual([])
    expect(look().closed).toEqual([])
    expect(look().closed).toMatchObject([{ toServer: { packets: 8, bytes: 800 } }])
  })

  test('that the kernel forgets is over at once, with the last counters', () => {
    look(flow())
    const { closed } = tracker.hear(flows(flow({ destroyed: true, toServer: [20, 2000] })))
    expect(closed).toMatchObject([{ toServer: { packets: 20, bytes: 2000 } }])
    expect(look().closed).toEqual([])
  })

  test('that no look has seen is told of when the kernel forgets it, unless it began before the last one', () => {
    const short = flow({ destroyed: true, startMs: UNIX + nowMs + 300 })
    nowMs += 400
    expect(tracker.hear(flows(short))).toMatchObject({ assured: [{}], closed: [{ durationMs: 100 }] })
    expect(tracker.hear(flows(flow({ id: 2, destroyed: true, startMs: UNIX - 9000 }))).closed).toEqual([])
  })

  test('whose flow has made room for another of the same ports is over', () => {
    look(flow({ toServer: [7, 700] }))
    const { assured, closed } = look(flow({ startMs: UNIX + 1500 }))
    expect(closed).toMatchObject([{ toServer: { packets: 7, bytes: 700 } }])
    expect(assured).toEqual([IPV4])
  })

  test('without counters is none to judge', () => {
    look(flow({ toServer: [0, 0], toClient: [0, 0] }))
    expect(look(flow({ state: timeWait, toServer: [0, 0], toClient: [0, 0] })).closed).toEqual([])
    expect(tracker.uncounted).toBe(1)
  })

  test('whose start is in the future, by a step of the clock, has just begun', () => {
    look(flow({ startMs: UNIX + 1e9 }))
    expect(look(flow({ startMs: UNIX + 1e9, state: timeWait })).closed).toMatchObject([{ durationMs: 1000 }])
  })
})

test('what ends before the first look has been there before', () => {
  tracker = create()
  expect(tracker.hear(flows(flow({ destroyed: true })))).toMatchObject({ assured: [], closed: [] })
})

test('what was closed before the first look is neither proof nor session; what was open is both', () => {
  tracker = create()
  const open = flow({ id: 2, sourcePort: 2 })
  expect(look(flow({ state: timeWait }), flow({ id: 3, state: close }), open)).toEqual({
    assured: [IPV4],
    closed: [],
  })
  expect(look({ ...open, state: timeWait }).closed).toHaveLength(1)
})

test('connections of this host to others, and to ports of no service, are none of ours', () => {
  const news = look(flow({ from: '192.0.2.1' }), flow({ id: 2, port: 80 }))
  expect(news).toEqual({ assured: [], closed: [] })
  expect(tracker.open).toBe(0)
  expect(look().closed).toEqual([])
})

describe('a connection that was reset', () => {
  // A forged acknowledgement that conntrack took for valid: SYN-ACK and RST are all that the server has sent.
  test.each([
    { from: IPV4, toClient: [2, 100], assured: [] },
    { from: IPV4, toClient: [5, 300], assured: [] },
    { from: IPV4, toClient: [3, 181], assured: [IPV4] },
    { from: IPV6, toClient: [2, 160], assured: [] },
    { from: IPV6, toClient: [2, 161], assured: ['2001:db8:7:7::/64'] },
  ] as const)(
    'is a proof only if the server has sent data: $from, $toClient',
    ({ from, toClient, assured }) => {
      expect(look(flow({ from, toClient, state: close })).assured).toEqual(assured)
      expect(look(flow({ from, toClient, state: close })).assured).toEqual([])
    },
  )
})

test('beyond the most that are tracked, flows are left out and counted, and old ones go on', () => {
  tracker = create(2)
  const three = [1, 2, 3].map((id) => flow({ id, sourcePort: id }))
  expect(look(...three).assured).toHaveLength(2)
  expect(look(...three).assured).toEqual([])
  expect(tracker.untracked).toBe(2)
  expect(look(...three.map((each) => ({ ...each, state: timeWait }))).closed).toHaveLength(2)
})

describe('a look at some flows', () => {
  const other = flow({ id: 2, sourcePort: 2 })
  const named = (...list: FlowFields[]) => tracker.hear(flows(...list))
  /** The client's ports of the flows that would be asked for. */
  const asked = () => tracker.tuples!.map((tuple) => new Uint16Array(tuple.slice(32, 34).buffer)[0])

  /** What the kernel says of those that it is asked for, a second later. */
  function lookAtSome(...list: FlowFields[]) {
    nowMs += 1000
    const { assured, closed } = tracker.lookAtSome(flows(...list))
    return { assured: assured.map(({ source }) => formatPrefix(source)), closed }
  }

  test('asks for what goes on, and for what events have named since the last look, once', () => {
    expect(asked()).toEqual([])
    look(flow(), other, flow({ id: 3, sourcePort: 3, port: 80 }))
    named(flow(), flow({ id: 4, sourcePort: 4 }), flow({ id: 4, sourcePort: 4 }))
    expect(asked()).toEqual([40_000, 2, 4])
    lookAtSome(flow(), { ...other, state: timeWait })
    expect(asked()).toEqual([40_000])
  })

  test('believes an event nothing but the name: the proof and the volume come with the answer', () => {
    expect(named(flow())).toEqual({ assured: [], closed: [], succeeded: [] })
    expect(tracker.open).toBe(0)
    expect(lookAtSome(flow())).toEqual({ assured: [IPV4], closed: [] })
    expect(tracker.open).toBe(1)
    const { closed } = lookAtSome(flow({ state: timeWait, toServer: [10, 1000] }))
    expect(closed).toMatchObject([{ durationMs: 1500, toServer: { packets: 10, bytes: 1000 } }])
  })

  test('has one that does not answer be over at the next, unless the event of its end comes before', () => {
    const old = { startMs: UNIX - 60_000, toServer: [7, 700] } as const
    look(flow(old), { ...other, ...old })
    expect(tracker.changesSoon).toBe(false)
    expect(lookAtSome().closed).toEqual([])
    expect(tracker.changesSoon).toBe(true)
    const last = named({ ...other, ...old, destroyed: true, toServer: [9, 900] })
    expect(last.closed).toMatchObject([{ toServer: { packets: 9 } }])
    expect(lookAtSome().closed).toMatchObject([{ toServer: { packets: 7, bytes: 700 } }])
    expect(lookAtSome().closed).toEqual([])
    expect(named(flow({ ...old, destroyed: true, toServer: [8, 800] })).closed).toEqual([])
  })

  test.each([
    { what: 'an id of its own', next: { id: 9, startMs: UNIX + 1500 } },
    { what: 'the same id', next: { startMs: UNIX + 1500 } },
  ])('has a flow be over that made room for one of the same ports, with $what', ({ next }) => {
    look(flow({ toServer: [7, 700] }))
    named(flow(next))
    // The kernel answers to both names with the one flow that there is.
    const answers = new Array(next.id === undefined ? 1 : 2).fill(flow(next))
    const looks = [lookAtSome(...answers), lookAtSome(...answers)]
    expect(looks.flatMap(({ assured }) => assured)).toEqual([IPV4])
    const closed = looks.flatMap((each) => each.closed)
    expect(closed).toMatchObject([{ toServer: { packets: 7, bytes: 700 } }])
    expect(tracker.open).toBe(1)
  })

  test('takes one for new that has the id and the ports of one that is over', () => {
    look(flow())
    look(flow({ state: timeWait }))
    const next = flow({ startMs: UNIX + 2500 })
    named(next)
    expect(lookAtSome(next)).toEqual({ assured: [IPV4], closed: [] })
    expect(lookAtSome({ ...next, state: timeWait }).closed).toHaveLength(1)
  })

  test('counts an answer that comes twice as one: the last acknowledgement is still to come', () => {
    const half = flow({ state: lastAck })
    expect(lookAtSome(half, half).closed).toEqual([])
    expect(lookAtSome(half, half).closed).toHaveLength(1)
  })

  test('forgets no flow that is over: nobody has asked for it', () => {
    look(flow())
    expect(look(flow({ state: timeWait })).closed).toHaveLength(1)
    for (let i = 0; i < 3; i++) expect(lookAtSome()).toEqual({ assured: [], closed: [] })
    expect(look(flow({ state: timeWait }))).toEqual({ assured: [], closed: [] })
    expect(named(flow({ state: timeWait }))).toMatchObject({ closed: [] })
    expect(lookAtSome(flow({ state: timeWait }))).toEqual({ assured: [], closed: [] })
  })

  test('tells once of one that began, was seen and ended since the last look at all', () => {
    const short = flow({ startMs: UNIX + 1200 })
    named(short)
    expect(lookAtSome({ ...short, state: timeWait }).closed).toHaveLength(1)
    expect(named({ ...short, state: timeWait, destroyed: true }).closed).toEqual([])
  })

  test('tells of one that an event has named and another has ended, though it began before the last look', () => {
    const early = flow({ startMs: UNIX - 10 })
    named(early)
    expect(named({ ...early, destroyed: true }).closed).toHaveLength(1)
    expect(named({ ...early, destroyed: true }).closed).toEqual([])
  })

  test('is too much when more than a look at all would cost is open or named; that look makes it good', () => {
    const many = Array.from({ length: ASKED_MAX + 5 }, (_, i) => flow({ id: i, sourcePort: i }))
    named(...many.slice(0, ASKED_MAX))
    expect(tracker.tuples).toHaveLength(ASKED_MAX)
    named(...many.slice(ASKED_MAX))
    expect(tracker.tuples).toBeUndefined()
    // What has ended makes no room for those whose names were not kept.
    named(...many.slice(0, 9).map((each) => ({ ...each, destroyed: true })))
    expect(tracker.tuples).toBeUndefined()
    look()
    expect(tracker.tuples).toEqual([])
    tracker = create(ASKED_MAX + 5)
    look(...many)
    expect(tracker.tuples).toBeUndefined()
    look(...many.map((each, i) => (i < 5 ? { ...each, state: timeWait } : each)))
    expect(tracker.tuples).toHaveLength(ASKED_MAX)
  })
})
