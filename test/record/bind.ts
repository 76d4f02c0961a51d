import { writeFileSync } from 'node:fs'
import { eventually } from '../lib/eventually.ts'
import type { Host } from '../lib/lab.ts'
import { Scratch } from '../lib/scratch.ts'

const HEAD = `
$TTL 300
@ SOA ns.example.test. hostmaster.example.test. 1 3600 600 86400 300
@ NS ns.example.test.
`

/** An answer worth an attacker's while: 1 KiB, within what dnsperf takes in one datagram. */
const LARGE = Array.from({ length: 5 }, (_, i) => `big TXT "${String(i).repeat(200)}"`).join('\n')

/** The hosts of 2001:db8:1::/48 that have names, as a walk of ip6.arpa finds them. */
const NAMED_HOSTS = ['10', '25', '53', 'face', '1:0:0:0:1', 'c0de:0:0:0:80']

/** By zone. */
const RECORDS: Readonly<Record<string, string>> = {
  test: `ns.example A 192.0.2.10\n*.site A 192.0.2.80\n*.site AAAA 2001:db8:1::80\n${LARGE}`,
  '18.198.in-addr.arpa': '* PTR host.example.test.',
  '1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa': NAMED_HOSTS.map(
    (host, i) => `${nibbles(host)} PTR host${i}.example.test.`,
  ).join('\n'),
}

/** BIND in the namespace of a host until the lab closes: any NAME.site.test, the large big.test, and reverse zones. */
export async function startBind(host: Host): Promise<void> {
  const scratch = new Scratch()
  const zones = Object.entries(RECORDS).map(([zone, records]) => {
    writeFileSync(scratch.path(zone), `${HEAD}${records}\n`)
    return `zone "${zone}" { type master; file "${scratch.path(zone)}"; };`
  })
  writeFileSync(scratch.path('conf'), `${options(scratch.directory)}\n${zones.join('\n')}\n`)
  host.spawn('named', ['-f', '-n', '1', '-c', scratch.path('conf')], { stdio: 'ignore' })
  await eventually('BIND listens', async () => {
    const { stdout } = await host.attempt('ss', '-Hlun', 'sport = :53')
    return stdout.includes('192.0.2.10') || stdout.includes('203.0.113.66')
  })
}

function options(directory: string): string {
  return `
options {
  directory "${directory}";
  pid-file none;
  session-keyfile none;
  listen-on { any; };
  listen-on-v6 { any; };
  recursion yes;
  allow-recursion { any; };
  dnssec-validation no;
  minimal-any no;
  version none;
  hostname none;
};
controls { };
logging { category default { null; }; };
`
}

/** The last 20 nibbles of an address, from the back: its name below the /48. */
function nibbles(host: string): string {
  const words = host.split(':').map((word) => word.padStart(4, '0'))
  const digits = [...Array(5 - words.length).fill('0000'), ...words].join('')
  return [...digits].reverse().join('.')
}
