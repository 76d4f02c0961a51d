import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { loadPolicy, parsePolicy } from '../../src/config/load.ts'
import { EXIT, Failure } from '../../src/failure.ts'
import { type Replayed, replayFiles } from '../lib/replay.ts'
import { hasSharedCaptures, SHARED_CAPTURES } from '../lib/shared-captures.ts'

const isThere = hasSharedCaptures('the real captures are not replayed')

const SHIPPED = loadPolicy('rules/sluice.yaml')
const BENIGN = ['ssh-benign', 'mail-benign', 'dns-benign', 'dns-ptr', 'dns-edge']

/** 200 reverse queries a second. */
const REVERSE_FLOOD = 'drv-ptr-flood-1src.pcap'

const captures = isThere
  ? readFileSync(`${SHARED_CAPTURES}INDEX.tsv`, 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.split('\t'))
      .map(([file = '', category = '']) => ({ file, category }))
  : []

const open = (file: string) => replayFiles([SHARED_CAPTURES + file], SHIPPED)

function refusedOf({ summary }: Replayed) {
  const { services, banned } = summary.policy
  return { refused: services.reduce((sum, row) => sum + row.refused, 0), banned: banned.length }
}

describe.runIf(isThere)('real captures under the shipped policy', () => {
  test('give the same output to the byte when they are replayed again', { timeout: 300_000 }, async () => {
    const differing: string[] = []
    let attempts = 0
    // Tables of the usual size take longer to make than most captures to judge.
    const trust = { ...SHIPPED.trust!, maxEntries: 1024 }
    const small = { ...SHIPPED, sources: 1024, trust, ban: { ...SHIPPED.ban, maxEntries: 1024 } }
    const again = (file: string) =>
      replayFiles([SHARED_CAPTURES + file], small, { most: 1024 }).catch(messageOf)
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

  /**
   * Attempts are what the index counts; the rest is the arithmetic of the shipped policy with the times of SYNs and
   * of last packets that tshark shows. A ban begins a second after the last login that earned it.
   */
  const attacks = [
    {
      // Eight at once every 20 s, six logins in each; the very first connection is over at 0.117 with one. For
      // certain (see `triesIn`) that is 1, and 4 in each of the others: 5 with the second to be over.
      file: 'ssh-attack-hydra-t8.pcapng',
      source: '240.0.1.4',
      withoutBan: [],
      limited: { attempts: 487, accepted: 12, refused: 5, burst: 6, banned: 470 },
      // After the first ban the next eight come from 615.7 on: six get in, and two of them fill it again.
      bans: [
        { offence: 1, seconds: 600, dropped: 240, afterSeconds: 10.638 },
        { offence: 2, seconds: 2400, dropped: 230, afterSeconds: 627.892 },
      ],
    },
    {
      // One every 7.5 s. The burst of 6 would last for 75 s, but the fifth has failed long before.
      file: 'ssh-attack-ncrack-sneaky.pcapng',
      source: '240.0.3.3',
      withoutBan: [],
      limited: undefined,
      bans: [
        { offence: 1, seconds: 600, dropped: 75, afterSeconds: 33.775 },
        { offence: 2, seconds: 2400, dropped: 66, afterSeconds: 679.808 },
      ],
    },
    {
      file: 'ssh-attack-synflood22.pcap',
      source: '10.0.2.15',
      // Forged SYNs never become connections: 20 strikes are an offence, without a proof, and there is no ban.
      withoutBan: ['1 offence without a ban'],
      limited: { attempts: 26, accepted: 6, refused: 20, burst: 6, banned: 0 },
      bans: [],
    },
    {
      // UDP: limited, never banned.
      file: 'dns-attack-burst-vlan.pcap',
      source: '5.6.7.8',
      withoutBan: [],
      limited: { attempts: 1200, burst: 500, banned: 0 },
      bans: [],
    },
  ]
  test.each(attacks)(
    '$file: limited and banned as the policy says',
    async ({ file, source, ...expected }) => {
      const { summary } = await open(file)
      const { limited, banned } = summary.policy
      const service = file.slice(0, 3)
      const limits = expected.limited ? [{ who: source, service, limit: 'source', ...expected.limited }] : []
      expect(limited).toMatchObject(limits)
      const withoutBan = summary.notes.flatMap((note) => /^\d+ offences? without a ban/.exec(note) ?? [])
      expect(withoutBan).toEqual(expected.withoutBan)
      const bans = banned.map((ban) => ({ ...ban, afterSeconds: Number(ban.afterSeconds.toFixed(3)) }))
      expect(bans).toMatchObject(expected.bans.map((ban) => ({ source, scope: service, ...ban })))
      const firstBan = banned[0]?.afterSeconds ?? Number.POSITIVE_INFINITY
      for (const { burst, burstNeeded, firstRefusal } of limited) {
        expect(burstNeeded).toBeGreaterThan(burst)
        expect(firstRefusal!.afterSeconds).toBeLessThan(firstBan)
      }
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
    // Of these connections the merged capture has the SYN, FIN and RST packets only: nothing that proves an address,
    // and no sessions. So strikes alone are to tell, in the captures that have more too.
    const services = SHIPPED.services.map((service) => ({ ...service, failures: undefined }))
    const unproven = { ...SHIPPED, services, ban: { ...SHIPPED.ban, proof: 'none' as const } }
    const bans = async (file: string) =>
      (await replayFiles([SHARED_CAPTURES + file], unproven)).summary.policy.banned.map(
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

  test('below the limits, failed logins get a ban: hydra with one task, six logins in each connection', async () => {
    const { summary } = await open('ssh-attack-hydra-t1.pcapng')
    const { services, banned } = summary.policy
    // One connection with a login, and one with six, of which four are certain; 10 minutes later two of the latter.
    expect(services[0]).toMatchObject({ attempts: 61, accepted: 4, refused: 0, banned: 57 })
    expect(services[0]!.sessions).toEqual({ failed: 4, succeeded: 0, unclear: 0 })
    const reasons = banned.map(({ reason, seconds, dropped }) => [reason, seconds, dropped])
    expect(reasons).toEqual([
      ['5 failed logins', 600, 30],
      ['8 failed logins', 2400, 27],
    ])
    expect(banned.map(({ afterSeconds }) => afterSeconds.toFixed(3))).toEqual(['12.476', '651.066'])
  })

  test('who guesses by hand while he is logged in, twice, is forgiven as often as the policy says, then banned', async () => {
    // An sshd of 2009, whose failures are larger than the least success of those that the shipped numbers are of.
    const text = readFileSync('rules/sluice.yaml', 'utf8').replace('    failed: 1880\n', '    failed: 2040\n')
    const ofServer = parsePolicy(text, 'shipped policy')
    const { summary } = await replayFiles([`${SHARED_CAPTURES}ssh-attack-manual-guess-slow.pcap`], ofServer)
    const { services, banned } = summary.policy
    // His open sessions make him known good: 6 connections a minute are above the limit of strangers. Failures are
    // taken back three times by what succeeds, at about 75 s, 140 s and 248 s: 3, 3 and 4. Twice they take his
    // trust instead of getting a ban: at 201 s and 322 s, 5 each. Then the 20 that can be taken back are used up.
    expect(services[0]).toMatchObject({ attempts: 40, accepted: 34, refused: 0, banned: 6 })
    // Answers that are somewhat longer than a failure's are unclear, and count for nothing.
    expect(services[0]!.sessions).toEqual({ failed: 25, succeeded: 2, unclear: 6 })
    expect(banned).toMatchObject([{ reason: '5 failed logins', seconds: 600, offence: 1 }])
    expect(banned[0]!.afterSeconds).toBeCloseTo(414.991, 3)
  })

  test('guessing at a server of other keys, where sessions are unclear, is limited only', async () => {
    const { summary } = await open('ssh-attack-zeek-guess.pcap')
    const { services, banned } = summary.policy
    // 6, and 4 a minute: ten of the eleven that come within 67 s.
    expect(services[0]).toMatchObject({ attempts: 11, accepted: 10, refused: 1, banned: 0 })
    expect(services[0]!.sessions).toEqual({ failed: 0, succeeded: 0, unclear: 10 })
    expect(banned).toEqual([])
  })
})

/** A capture that is none is refused, every time in the same words. */
function messageOf(error: unknown): string {
  if (!(error instanceof Failure) || error.status !== EXIT.dataError) throw error
  return error.message
}
