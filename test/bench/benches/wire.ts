import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { packet } from '../../lib/packets.ts'
import { type Arena, sentOf } from '../runner/arena.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { noLimiter } from '../runner/limiters.ts'
import { peer } from '../runner/peers.ts'
import type { Stage } from '../runner/stage.ts'

const exec = promisify(execFile)

export const wire: Bench = {
  name: 'wire',
  question: 'how many packets a second can the benches put on a wire with nobody in the way?',
  metrics: { sentPerSecond: { unit: 'k/s', unitSize: 1000 } },
  targets: [{ metric: 'sentPerSecond', of: { contestant: 'cap' }, over: { contestant: 'AF_PACKET in C' } }],
  *cases(stage: Stage): Generator<Case> {
    const { arena } = noLimiter(stage)
    // Before conntrack: this is about the sender.
    arena.rule('-t raw -A PREROUTING -p tcp --dport 22 -j DROP')
    const found = peer('cap')
    const contestants: Case['contestants'] = new Map([
      ['AF_PACKET in C', () => bySocket(arena, stage.seconds)],
      ...('missing' in found ? [] : [['cap', () => byCap(arena, stage, found.directory)] as const]),
    ])
    if ('missing' in found) stage.note(found.missing)
    yield { name: 'SYNs', contestants }
  },
}

async function bySocket(arena: Arena, seconds: number): Promise<Figures> {
  const { perSecond } = await arena.flood({ sources: 1, seconds })
  return { sentPerSecond: perSecond }
}

async function byCap({ server, sender }: Arena, stage: Stage, directory: string): Promise<Figures> {
  const mac = server.run('cat', '/sys/class/net/eth0/address').trim().replaceAll(':', '')
  const frame = `${mac}0200000000000800${Buffer.from(syn(server.ipv4)).toString('hex')}`
  const args = [stage.script('send-cap.mjs'), directory, 'eth0', `${stage.seconds}`, frame]
  const { stdout } = await exec('ip', ['netns', 'exec', sender.namespace, process.execPath, ...args])
  return { sentPerSecond: sentOf(stdout).perSecond }
}

/** With the checksum that the kernel looks at before its rules: that of the IP header (RFC 1071). */
function syn(to: string): Uint8Array {
  const bytes = packet({ from: '100.64.0.1', to, port: 22 })
  const view = new DataView(bytes.buffer)
  let sum = 0
  for (let at = 0; at < 20; at += 2) sum += view.getUint16(at)
  view.setUint16(10, ~((sum & 0xffff) + (sum >> 16)))
  return bytes
}
