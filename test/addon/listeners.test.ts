import { afterAll, beforeAll, describe, expect, test } from 'vitest'
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

afterAll(() => lab?.close())

interface Listed {
  readonly family: number
  readonly address: string
  readonly port: number
  readonly inode: number
}

const NOTHING_6 = '0'.repeat(32)

describe.each(addonBuilds())('TCP sockets that listen, by $name', (build) => {
  const run = <T>(args: readonly string[], options?: ProgramOptions) =>
    runProgram<T>(host, build, ['listeners', ...args], options)

  test('are listed beside connections, with their addresses, and as /proc has them', async () => {
    const servers = [
      { port: 1001, host: '0.0.0.0' },
      { port: 1002, host: '127.0.0.1' },
      { port: 1003, host: host.ipv4 },
      { port: 1004, host: '::', ipv6Only: true },
      { port: 1005, host: '::' },
      { port: 1006, host: '::1' },
      { port: 1007, host: host.ipv6 },
      { port: 1008, host: '::ffff:127.0.0.1' },
      { port: 65_535, host: '127.0.0.53' },
    ]
    const visits = [
      { port: 1001, host: '127.0.0.1' },
      { port: 1002, host: '127.0.0.1' },
      { port: 1003, host: host.ipv4 },
      { port: 1004, host: '::1' },
      // IPv4 to a socket of IPv6.
      { port: 1005, host: host.ipv4 },
      { port: 1005, host: host.ipv6 },
    ]
    const { listed, read } = await run<{ listed: Listed[]; read: Listed[] }>([
      'beside',
      ...[servers, visits].map((each) => JSON.stringify(each)),
    ])
    const byPort = (list: readonly Listed[]) => [...list].sort((a, b) => a.port - b.port)
    expect(byPort(listed).map(({ inode: _, ...each }) => each)).toEqual([
      { family: 4, address: '00000000', port: 1001 },
      { family: 4, address: '7f000001', port: 1002 },
      { family: 4, address: '0a4d0001', port: 1003 },
      { family: 6, address: NOTHING_6, port: 1004 },
      { family: 6, address: NOTHING_6, port: 1005 },
      { family: 6, address: `${NOTHING_6.slice(1)}1`, port: 1006 },
      { family: 6, address: 'fd770000000000000000000000000001', port: 1007 },
      { family: 6, address: '00000000000000000000ffff7f000001', port: 1008 },
      { family: 4, address: '7f000035', port: 65_535 },
    ])
    expect(new Set(listed.map(({ inode }) => inode)).size).toBe(servers.length)
    expect(byPort(listed)).toEqual(byPort(read))
  })

  test('are none where nobody listens', async () => {
    expect(await run(['beside', '[]', '[]'])).toEqual({ listed: [], read: [] })
  })

  test.each([
    ['come in several datagrams, each once', 800, 800],
    ['are listed up to a bound', 4200, 4096],
  ])('%s', async (_, count, listed) => {
    expect(await run(['count', String(count)])).toEqual({ listed, different: listed })
  })

  test('are told to everybody', async () => {
    const wrapper = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--reuid=65534']
    expect(await run(['refusal'], { wrapper })).toBe(0)
  })

  test.each([
    ['no-tcp-diag', 'ENOENT', ' (the kernel module tcp_diag is missing)'],
    ['socket-eprotonosupport', 'EPROTONOSUPPORT', ''],
    ['answer-enobufs', 'ENOBUFS', ''],
    ['answer-truncated', 'EMSGSIZE', ''],
    ['answer-cut', 'EPROTO', ''],
  ])('under %s: %s', async (fault, code, meaning) => {
    const message = `cannot list listening sockets: ${code}${meaning}`
    const options = { env: { FAULT: `${fault}:1` }, preload: [faultLibrary] }
    expect(await run(['refusal'], options)).toEqual({ name: 'NetlinkError', code, message })
  })
})
