import { type PcapRecord, pcap } from '../lib/capture-files.ts'
import { Postfix } from '../lib/postfix.ts'
import { ATTACKER } from '../lib/scene.ts'
import { Sshd } from '../lib/sshd.ts'
import * as dns from './dns.ts'
import { benchmarkAddress, ptrFloodFromMany, synFlood } from './generate.ts'
import { poller, provider } from './mail.ts'
import { Recorder } from './recorder.ts'
import { spread } from './spread.ts'
import { guessFromMany, guessSteadily, hydra, logins } from './ssh.ts'
import { Stage } from './stage.ts'

/** All headers, and of what follows little. */
const TCP_SNAP = 96
/** A whole query. */
const DNS_SNAP = 160

/** One capture of pcaps/. */
export interface Scenario {
  readonly name: string
  /** Services to enable that the shipped policy has disabled. */
  readonly enable?: readonly string[]
  /** The same bytes each time. */
  readonly isGenerated: boolean
  /** The bytes of the capture. */
  make(): Promise<Buffer>
}

const ssh = (name: string, act: (stage: Stage) => Promise<void>) =>
  recorded(name, 'tcp port 22', TCP_SNAP, act)
const mail = (name: string, act: (stage: Stage) => Promise<void>) =>
  recorded(name, 'tcp port 25', TCP_SNAP, act)
const resolve = (name: string, act: (stage: Stage) => Promise<void>) =>
  recorded(name, 'port 53', DNS_SNAP, act)

/** Long enough for a ban: one task makes one connection a second, and more tasks as many more. */
const HYDRA_SECONDS = [
  { tasks: 1, seconds: 45 },
  { tasks: 4, seconds: 15 },
  { tasks: 16, seconds: 6 },
]

/** Each in a /24 of its own. */
const MANY_SOURCES = Array.from({ length: 500 }, (_, i) => benchmarkAddress(i * 257 + 1))

/** What the README of pcaps/ describes, in its order. */
export const SCENARIOS: readonly Scenario[] = [
  ...HYDRA_SECONDS.flatMap(({ tasks, seconds }) =>
    ([4, 6] as const).map((family) =>
      ssh(`ssh-hydra-${tasks}-ipv${family}`, async (stage) => {
        await Sshd.start(stage.server)
        await hydra(stage, { scheme: 'ssh', family, port: 22 }, tasks, seconds)
      }),
    ),
  ),
  ssh('ssh-30-a-minute', (stage) => guessSteadily(stage, ATTACKER[4], 60, 2000)),
  spaced(
    ssh('ssh-500-sources', (stage) => guessFromMany(stage, MANY_SOURCES, 2)),
    2000,
  ),
  ssh('ssh-ansible', (stage) => logins(stage, 20)),
  generated('ssh-syn-flood', () => synFlood(8000, 8)),
  mail('smtp-hydra-16', async (stage) => {
    await Postfix.start(stage.server)
    await hydra(stage, { scheme: 'smtp', family: 4, port: 25 }, 16, 10)
  }),
  mail('smtp-provider', provider),
  { ...recorded('pop3-poller', 'tcp port 110', TCP_SNAP, poller), enable: ['pop3'] },
  resolve('dns-honest-clients', dns.honestClients),
  resolve('dns-ptr-sweep', dns.sweep),
  resolve('dns-ptr-flood-1-source', dns.ptrFlood),
  generated('dns-ptr-flood-1000-sources', () => ptrFloodFromMany(10_000, 5)),
  resolve('dns-ip6-arpa-walk', dns.walk),
  resolve('dns-amplification', dns.amplification),
  resolve('dns-unsolicited-answers', dns.unsolicited),
]

/** What tcpdump on the server sees of `act`. */
function recorded(
  name: string,
  filter: string,
  snapLength: number,
  act: (stage: Stage) => Promise<void>,
): Scenario {
  return {
    name,
    isGenerated: false,
    async make() {
      const stage = new Stage()
      try {
        const recorder = await Recorder.start(stage.server, filter, snapLength)
        await act(stage)
        return await recorder.stop()
      } finally {
        stage.close()
      }
    },
  }
}

function generated(name: string, generate: () => PcapRecord[]): Scenario {
  return { name, isGenerated: true, make: async () => pcap(generate()) }
}

/** The SSH connections of `scenario`, one every `everyMs`. */
function spaced(scenario: Scenario, everyMs: number): Scenario {
  return { ...scenario, make: async () => spread(await scenario.make(), 22, everyMs) }
}
