import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { addonBuilds, runProgram } from '../lib/addon-builds.ts'
import { type Host, Lab } from '../lib/lab.ts'

let lab: Lab
let host: Host

beforeAll(() => {
  lab = Lab.create(['one'])
  host = lab.host('one')
})

beforeEach(() => {
  host.run('conntrack', '-F')
  host.run('conntrack', '-F', '-f', 'ipv6')
})

afterAll(() => lab?.close())

/** Enters flows into the kernel's table by the official tool. */
function enter(flows: readonly { source: string; port?: number; zone?: number }[]): void {
  const lines = flows.map(({ source, port = 22, zone = 0 }) => {
    const destination = source.includes(':') ? '2001:db8::22' : '203.0.113.22'
    const zoned = zone === 0 ? '' : `--zone ${zone}`
    return `-I -p tcp -s ${source} -d ${destination} --sport ${port} --dport 22 --state ESTABLISHED -t 600 ${zoned}`
  })
  host.run('sh', '-c', `printf '%s\\n' "$@" | conntrack -R -`, 'sh', ...lines)
}

/** The original source of every flow, by the official tool. */
function sources(): string[] {
  const listed = ['ipv4', 'ipv6'].map((family) => host.run('conntrack', '-L', '-f', family))
  return [...listed.join('\n').matchAll(/ESTABLISHED src=(\S+)/g)].map(([, source]) => source!).sort()
}

describe.each(addonBuilds())('deletion of connections, by $name', (build) => {
  const remove = async (...prefixes: string[]) => {
    const calls = JSON.stringify([['deleteConnections', prefixes]])
    const [answer] = await runProgram<unknown[]>(host, build, ['kernel', 'calls', calls])
    return answer
  }

  test('flows of the sources go, those of their neighbours and those to them stay', async () => {
    enter([
      { source: '192.0.2.1', port: 1 },
      { source: '192.0.2.1', port: 2 },
      { source: '192.0.2.2' },
      { source: '198.51.100.128' },
      { source: '198.51.100.127' },
      { source: '2001:db8:1::1' },
      { source: '2001:db8:1:0:ffff::' },
      { source: '2001:db8:1:1::1' },
    ])
    expect(await remove('192.0.2.1', '198.51.100.128/25', '2001:db8:1::/64', '203.0.113.22')).toBe(5)
    expect(sources()).toEqual(['192.0.2.2', '198.51.100.127', '2001:db8:1:1::1'])
  })

  test('one family at a time, and nothing at all', async () => {
    enter([{ source: '192.0.2.1' }, { source: '2001:db8::1' }])
    expect(await remove()).toBe(0)
    expect(await remove('192.0.2.2')).toBe(0)
    expect(await remove('0.0.0.0/0')).toBe(1)
    expect(sources()).toEqual(['2001:db8::1'])
    expect(await remove('::/0')).toBe(1)
  })

  test('flows in other zones go too', async () => {
    enter([{ source: '192.0.2.1' }, { source: '192.0.2.1', zone: 3 }, { source: '192.0.2.9', zone: 3 }])
    expect(await remove('192.0.2.1')).toBe(2)
    expect(sources()).toEqual(['192.0.2.9'])
  })

  test('a dump of many datagrams is gone through to its end', async () => {
    const flows = Array.from({ length: 1000 }, (_, i) => ({ source: `192.0.2.${i % 2}`, port: 1000 + i }))
    enter(flows)
    expect(await remove('192.0.2.1')).toBe(500)
    expect(sources()).toEqual(new Array(500).fill('192.0.2.0'))
  })
})
