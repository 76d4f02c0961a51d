import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { loadPolicy } from '../../src/config/load.ts'
import { EXIT, Failure } from '../../src/failure.ts'
import { type Replayed, replayFiles } from '../lib/replay.ts'

const DIRECTORY = new URL('../../../shared/pcaps/', import.meta.url).pathname
const isThere = existsSync(`${DIRECTORY}INDEX.tsv`)
if (!isThere) console.warn(`replay: no ${DIRECTORY}, so the real captures are not replayed`)

const SHIPPED = loadPolicy('rules/sluice.yaml')
const BENIGN = ['ssh-benign', 'mail-benign', 'dns-benign', 'dns-ptr', 'dns-edge']

/** 200 reverse queries a second. */
const REVERSE_FLOOD = 'drv-ptr-flood-1src.pcap'

const captures = isThere
  ? readFileSync(`${DIRECTORY}INDEX.tsv`, 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.split('\t'))
      .map(([file = '', category = '']) => ({ file, category }))
  : []

const open = (file: string) => replayFiles([DIRECTORY + file], SHIPPED)

function refusedOf({ summary }: Replayed) {
  const { services, banned } = summary.policy
  return { refused: services.reduce((sum, row) => sum + row.refused, 0), banned: banned.length }
}

describe.runIf(isThere)('real captures under the shipped policy', () => {
  test('give the same output to the byte when they are replayed again', { timeout: 300_000 }, async () => {
    const differing: string[] = []
    let attempts = 0
    // Tables of the usual size take longer to make than most captures to judge.
    const small = { ...SHIPPED, ban: { ...SHIPPED.ban, maxEntries: 1024 } }
    const again = (file: string) => replayFiles([DIRECTORY + file], small, { most: 1024 }).catch(messageOf)
    for (const { file } of captures) {
      const both = [await again(file), await again(file)] as const
      const [first, second] = both.map((each) => (typeof each === 'string' ? each : each.text))
      if (first !== second) differing.push(file)
      if (typeof both[0] !== 'string') attempts += both[0].csv.length
    }
    expect(differing).toEqual([])
    expect(captures.length).toBeGreaterThan(500)
    expect(attempts).toBeGreaterThan(5000)
  })

  test.each(BENIGN)('refuse nobody and ban nobody of category %s', async (category) => {
    const benign = captures.filter((each) => each.category === category && each.file !== REVERSE_FLOOD)
    const judged: string[] = []
    for (const { file } of benign) {
      const replayed = await open(file)
      expect({ file, ...refusedOf(replayed) }).toEqual({ file, refused: 0, banned: 0 })
      judged.push(...replayed.csv)
    }
    expect(judged.length).toBeGreaterThan(5)
  })

  /** Attempts are what the index counts; the rest is the arithmetic of the shipped limits. */
  const attacks = [
    {
      file: 'ssh-attack-hydra-t8.pcapng',
      source: '240.0.1.4',
      limited: { service: 'ssh', limit: 'source', attempts: 487, refused: 10, burst: 20 },
      // 5 strikes make an offence; 10 minutes later it is still there, for the second.
      bans: [
        { scope: 'ssh', offence: 1, seconds: 600 },
        { scope: 'ssh', offence: 2, seconds: 2400 },
      ],
    },
    {
      file: 'ssh-attack-ncrack-sneaky.pcapng',
      source: '240.0.3.3',
      limited: { service: 'ssh', limit: 'source', attempts: 151, refused: 5, burst: 20 },
      bans: [{ scope: 'ssh', offence: 1, seconds: 600 }],
    },
    {
      file: 'ssh-attack-synflood22.pcap',
      source: '10.0.2.15',
      // Forged SYNs never become connections: limited, never banned.
      limited: { service: 'ssh', limit: 'source', attempts: 26, accepted: 20, refused: 6, banned: 0 },
      bans: [],
    },
    {
      // UDP: limited, never banned.
      file: 'dns-attack-burst-vlan.pcap',
      source: '5.6.7.8',
      limited: { service: 'dns', limit: 'source', attempts: 1200, burst: 500 },
      bans: [],
    },
  ]
  test.each(attacks)(
    '$file: limited and banned as the policy says',
    async ({ file, source, ...expected }) => {
      const { summary } = await open(file)
      const { limited, banned } = summary.policy
      expect(limited).toMatchObject([{ who: source, ...expected.limited }])
      expect(banned).toMatchObject(expected.bans.map((ban) => ({ source, ...ban })))
      expect(limited[0]!.burstNeeded).toBeGreaterThan(limited[0]!.burst)
      const firstBan = banned[0]?.afterSeconds ?? Number.POSITIVE_INFINITY
      expect(limited[0]!.firstRefusal!.afterSeconds).toBeLessThan(firstBan)
    },
  )

  test('a flood of reverse queries from one source gets the burst of reverse queries and what grows meanwhile', async () => {
    const { summary } = await open(REVERSE_FLOOD)
    const [dns] = summary.policy.services.filter(({ service }) => service === 'dns')
    // 100, and 10 a second for 0.92 s; far below the limit of all queries.
    expect(dns).toMatchObject({ attempts: 185, accepted: 109, reasons: { 'reverse-limit': 76 } })
    expect(summary.policy.sources).toMatchObject([{ refused: 76 }])
  })

  test('three attackers at once: each is judged as if it were alone', async () => {
    // Of these connections the captures have the SYN, FIN and RST packets only: nothing that proves an address.
    const unproven = { ...SHIPPED, ban: { ...SHIPPED.ban, proof: 'none' as const } }
    const bans = async (file: string) =>
      (await replayFiles([DIRECTORY + file], unproven)).summary.policy.banned.map(
        ({ source, offence, dropped }) => ({
          source,
          offence,
          dropped,
        }),
      )
    const together = await bans('drv-ssh-3src-control.pcap')
    const alone = await Promise.all(
      ['hydra-t1', 'hydra-t8', 'ncrack-sneaky'].map((name) => bans(`ssh-attack-${name}.pcapng`)),
    )
    expect(together).toHaveLength(3)
    expect(together).toEqual(expect.arrayContaining(alone.flat()))
  })

  test('below the limits, guessing passes: hydra with one task, and a few tries by hand', async () => {
    for (const name of ['hydra-t1.pcapng', 'manual-guess-slow.pcap', 'zeek-guess.pcap']) {
      expect(refusedOf(await open(`ssh-attack-${name}`))).toEqual({ refused: 0, banned: 0 })
    }
  })
})

/** A capture that is none is refused, every time in the same words. */
function messageOf(error: unknown): string {
  if (!(error instanceof Failure) || error.status !== EXIT.dataError) throw error
  return error.message
}
