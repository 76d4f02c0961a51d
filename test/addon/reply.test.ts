import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { addonBuilds, runProgram } from '../lib/addon-builds.ts'
import { type Host, Lab } from '../lib/lab.ts'

/** test/addon/programs/lab.mjs listens to it. */
const QUEUE = '7'
const PORT = '5000'
const MARK = '0x53'

let lab: Lab
let host: Host

beforeAll(() => {
  lab = Lab.create(['one'])
  host = lab.host('one')
  for (const iptables of ['iptables', 'ip6tables']) {
    const target = ['-j', 'NFQUEUE', '--queue-num', QUEUE, '--queue-bypass']
    host.run(iptables, '-t', 'mangle', '-A', 'PREROUTING', '-p', 'udp', '--dport', PORT, ...target)
    host.run(iptables, '-A', 'OUTPUT', '-m', 'mark', '--mark', MARK)
  }
})

afterAll(() => lab?.close())

/** ID 0xbeef, then these flags, counts, `name` and type; `more`: what follows the question, in hex. */
function query(
  fields: { flags?: string; counts?: string; name?: string; type?: string; more?: string } = {},
) {
  const {
    flags = '0100',
    counts = '0001000000000000',
    name = 'www.example.test',
    type = '000c',
    more = '',
  } = fields
  return `beef${flags}${counts}${encoded(name)}${type}0001${more}`
}

function encoded(name: string): string {
  const labels = name.split('.').map((label) => [label.length, ...Buffer.from(label)])
  return Buffer.from([...labels.flat(), 0]).toString('hex')
}

const WITH_OPT = '0001000000000001'
/** Size 4096, no extended code, version 0, DO, a cookie of 8 bytes (RFC 7873). */
const OPT = `000029100000008000000c000a0008${'0123456789abcdef'}`
/** Size 1232, DO, no options. */
const OUR_OPT = '00002904d0000080000000'
const LONGEST = Array.from({ length: 4 }, (_, i) => 'x'.repeat(i < 3 ? 63 : 61)).join('.')

const ANSWERED: [what: string, query: string, answer: string][] = [
  ['recursion desired stays', query(), query({ flags: '8300' })],
  ['and stays away', query({ flags: '0000' }), query({ flags: '8200' })],
  ['CD stays, AD and Z do not', query({ flags: '0170' }), query({ flags: '8310' })],
  [
    'OPT comes with OPT, and DO with DO',
    query({ counts: WITH_OPT, more: OPT }),
    query({ flags: '8300', counts: WITH_OPT, more: OUR_OPT }),
  ],
  [
    'what is no OPT is left out',
    query({ counts: WITH_OPT, more: `0000fa${'00'.repeat(40)}` }),
    query({ flags: '8300' }),
  ],
  ['bytes behind the question are left out', query({ more: 'ffff' }), query({ flags: '8300' })],
  [
    'case stays (0x20)',
    query({ name: 'wWw.ExAmPlE.tEsT' }),
    query({ name: 'wWw.ExAmPlE.tEsT', flags: '8300' }),
  ],
  [
    'the longest name',
    query({ name: LONGEST, type: '0001' }),
    query({ name: LONGEST, type: '0001', flags: '8300' }),
  ],
]

const NOT_ANSWERED: [what: string, query: string][] = [
  ['an answer: two of us would talk for ever', query({ flags: '8100' })],
  ['an opcode other than QUERY', query({ flags: '2000' })],
  ['no question', query({ counts: '0000000000000000' })],
  ['two questions', query({ counts: '0002000000000000' })],
  ['answers in the question', query({ counts: '0001000100000000' })],
  ['a compressed name', `beef01000001000000000000c00c000c0001`],
  ['a name of 256 bytes', query({ name: `${LONGEST}x` })],
  ['a question that ends early', query().slice(0, -2)],
  ['a header that ends early', 'beef0100000100000000'],
  ['an additional record that is not there', query({ counts: WITH_OPT })],
]

interface Report {
  readonly replies: [hex: string, from: string, port: number][]
  readonly failure?: string
  readonly counters: Record<string, number>
}

describe.each(addonBuilds())('answers to refused queries, by $name', (build) => {
  const ask = (address: string, queries: string[], wrapper: string[] = []) =>
    runProgram<Report>(host, build, ['reply', 'answers', address, queries.join(',')], { wrapper })

  test.each(['ipv4', 'ipv6'] as const)('over %s, byte by byte', async (family) => {
    const address = host[family]
    const { replies, counters } = await ask(
      address,
      ANSWERED.map(([, asked]) => asked),
    )
    expect(replies.map(([hex]) => hex)).toEqual(ANSWERED.map(([, , answer]) => answer))
    expect(new Set(replies.map(([, from, port]) => `${from} ${port}`))).toEqual(
      new Set([`${address} ${PORT}`]),
    )
    expect(counters).toMatchObject({
      replies: ANSWERED.length,
      repliesUnmade: 0,
      repliesForbidden: 0,
      replyErrors: 0,
    })
    for (const [i, [hex]] of replies.entries()) expect(hex.length).toBeLessThanOrEqual(ANSWERED[i]![1].length)
  })

  test('not to what is no query that may be answered', async () => {
    const { replies, counters } = await ask(
      host.ipv4,
      NOT_ANSWERED.map(([, asked]) => asked),
    )
    expect(replies).toEqual([])
    expect(counters).toMatchObject({
      replies: 0,
      repliesUnmade: NOT_ANSWERED.length,
      packets: NOT_ANSWERED.length,
    })
  })

  test('they carry the mark, and are counted where the firewall drops them', async () => {
    const drop = ['OUTPUT', '-m', 'mark', '--mark', MARK, '-j', 'DROP']
    host.run('iptables', '-I', ...drop)
    try {
      const { replies, counters } = await ask(host.ipv4, [query(), query(), query()])
      expect(replies).toEqual([])
      expect(counters).toMatchObject({ replies: 0, repliesForbidden: 3 })
    } finally {
      host.run('iptables', '-D', ...drop)
    }
  })

  test('without CAP_NET_RAW there are none, and the queue works', async () => {
    const wrapper = ['setpriv', '--bounding-set=-net_raw', '--inh-caps=-net_raw']
    const { failure, replies, counters } = await ask(host.ipv4, [query()], wrapper)
    expect(failure).toBe('EPERM')
    expect(replies).toEqual([])
    expect(counters).toMatchObject({ packets: 1, repliesUnmade: 1 })
  })
})
