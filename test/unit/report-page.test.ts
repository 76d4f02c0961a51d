import { createHash } from 'node:crypto'
import { afterAll, describe, expect, test } from 'vitest'
import { loadPolicy } from '../../src/config/load.ts'
import { policy, service } from '../lib/policies.ts'
import { writeCapture } from '../lib/replay.ts'
import { OFFENDER, reportOn, scenePolicy, writeScene } from '../lib/report.ts'
import { Scratch } from '../lib/scratch.ts'

const scratch = new Scratch()
afterAll(() => scratch.close())
const scene = writeScene(scratch.path('scene.pcap'))
const { page, summary, recorder } = await reportOn(scene, scenePolicy())

/** The markup from `<h2>title` to the next section. */
function sectionOf(text: string, title: string): string {
  return text.slice(text.indexOf(`<h2>${title}`)).split('</section>')[0]!
}

test('the same capture and policy give the same page, to the byte', async () => {
  const again = await reportOn(scene, scenePolicy())
  expect(again.page === page).toBe(true)
})

describe('the page needs nothing else and runs nothing else', () => {
  test('there is no address in it and no inline style or handler', () => {
    expect(page).not.toMatch(/https?:|\/\/[a-z]|url\(|@import|<link|<img|<iframe/i)
    expect(page).not.toMatch(/<[^>]*\s(?:style|on\w+|src|href)=/i)
  })

  test.each(['style', 'script'])('its policy names the one <%s> in it', (tag) => {
    const [found, ...others] = [...page.matchAll(new RegExp(`<${tag}>(.*?)</${tag}>`, 'gs'))]
    const hash = createHash('sha256').update(found![1]!).digest('base64')
    expect(page).toContain(`${tag}-src &#39;sha256-${hash}&#39;`)
    expect(others).toEqual([])
    expect(page).toContain('default-src &#39;none&#39;')
  })
})

describe('what the page says', () => {
  test('the bars of the timeline add up to the totals', () => {
    for (const row of summary.policy.services) {
      const bars = (fate: 'accepted' | 'refused' | 'banned') =>
        recorder.timeline.bins(row.service, fate).reduce((a, b) => a + b)
      expect([bars('accepted'), bars('refused'), bars('banned')], row.service).toEqual([
        row.accepted + row.allowed,
        row.refused,
        row.banned,
      ])
    }
    expect(sectionOf(page, 'Accepted and refused')).toContain('aria-label="refused, 260, at most 3 in 4.1s"')
  })

  test('a service in shadow mode would have refused', () => {
    expect(sectionOf(page, 'Accepted and refused')).toContain('<b>would be refused</b>')
  })

  test('refusals that no limit of a service stands for are counted by their reason', async () => {
    const sweep = 'pcaps/dns-ptr-sweep.pcap.gz'
    const { page } = await reportOn(sweep, loadPolicy('rules/sluice.yaml'), { local: ['192.0.2.10'] })
    expect(sectionOf(page, 'Totals')).toContain('dns sweep 965.')
    const row = sectionOf(page, 'Top sources')
      .split('why the first time</caption>')[1]!
      .replace(/<[^>]*>\s*/g, ' ')
    expect(row).toMatch(/ 203\.0\.113\.66 +dns +sweep +1,024 +965 +\+800ms /)
  })

  test('without an attempt there is no table and no plot', async () => {
    const { page } = await reportOn(scene, scenePolicy(), { local: ['198.51.100.0/24'] })
    expect(sectionOf(page, 'Totals')).not.toContain('<table')
    expect(page).not.toContain('<h2>Accepted and refused')
    expect(page).toContain('<p>No attempt at a port of a service came in.</p>')
  })

  test('a service that nobody asked for has no plot', () => {
    expect(page).not.toContain('<h3>pop3</h3>')
  })

  test('those refused most are on top', () => {
    const names = [...sectionOf(page, 'Top sources').matchAll(/scope="row">([^<]*)/g)].map(([, name]) => name)
    expect(names).toHaveLength(15)
    expect(names.slice(0, 3)).toEqual(['203.0.113.53', OFFENDER, '2001:db8:bad::/64'])
  })

  test('each ban is a bar, as long as it lasts, and a row', () => {
    const bans = sectionOf(page, 'Bans')
    const bars = [...bans.matchAll(/<rect class="(\w+)" x="([\d.]+)" y="15" width="([\d.]+)"/g)]
    expect(bars).toHaveLength(summary.policy.banned.length)
    const [first] = summary.policy.banned
    const toPlot = 1000 / summary.seconds
    expect(Number(bars[0]![2])).toBeCloseTo(first!.afterSeconds * toPlot, 1)
    expect(Number(bars[0]![3])).toBeCloseTo(first!.seconds * toPlot, 1)
    expect(bars.filter(([, look]) => look === 'shadow')).toHaveLength(3)
    expect(bans.match(/<th scope="row">/g)).toHaveLength(12)
  })

  test('the offender’s own bucket is empty when it refuses, and shaded while he is banned', () => {
    const levels = sectionOf(page, 'Levels of buckets')
    const figure = levels.slice(levels.indexOf(`<h3>${OFFENDER}, ssh</h3>`)).split('</figure>')[0]!
    expect(figure).toContain('aria-label="its own bucket, 5 at once, then 2 a minute; 0 left at the lowest"')
    expect(figure).toContain('aria-label="bucket of its network, 12 at once')
    expect(figure).toContain('aria-label="bucket of all strangers, 40 at once')
    expect(figure.match(/<rect class="during"/g)).toHaveLength(4)
    expect(figure).toMatch(/<path class="mark" d="M[\d.]+ 86V100/)
  })

  test('the lists are bounded, and say what they leave out', async () => {
    const strict = service('ssh', 22, {
      limits: { source: { burst: 1, ratePerSecond: 1 }, network: undefined, total: undefined },
      ban: { strikes: 1, withinMs: 1000 },
    })
    const packets = Array.from({ length: 60 * 12 }, (_, i) => ({
      atMs: i * 10,
      from: `198.18.${i % 60}.1`,
      port: 22,
      sourcePort: i,
    }))
    const { page } = await reportOn(writeCapture(scratch.path('many.pcap'), packets), policy([strict]))
    expect(sectionOf(page, 'Bans')).toContain('Shown are the first 40 bars; 20 more are not.')
    expect(sectionOf(page, 'Bans').match(/<th scope="row">/g)).toHaveLength(40)
    expect(sectionOf(page, 'Top sources').match(/<th scope="row">/g)).toHaveLength(15)
  })

  test('what another policy would change', async () => {
    const against = scenePolicy({ ban: { ...scenePolicy().ban, firstMs: 1_800_000 } })
    const other = { ...against, services: against.services.filter(({ name }) => name !== 'ssh') }
    const { page } = await reportOn(scene, scenePolicy(), { against: other })
    const changes = sectionOf(page, 'With another policy')
    expect(changes).toContain('No longer banned: 3')
    const ssh = summary.policy.services.find(({ service }) => service === 'ssh')!
    expect(changes).toMatch(new RegExp(`>ssh</th>\\s*<td class="right">${ssh.accepted} -&gt; -<`))
  })
})

describe('a capture with little in it', () => {
  test.each<[string, number]>([
    ['nothing', 0],
    ['one packet', 1],
  ])('%s still gives a page', async (_, count) => {
    const packets = [{ atMs: 0, from: OFFENDER, port: 22 }].slice(0, count)
    const { page } = await reportOn(writeCapture(scratch.path('little.pcap'), packets), scenePolicy())
    expect(page).not.toMatch(/NaN|Infinity|undefined/)
    expect(page.includes('No attempt at a port of a service came in.')).toBe(count === 0)
    expect(page).toContain('Nobody would have been banned.')
  })

  test('a service without limits has no levels', async () => {
    const file = writeCapture(scratch.path('free.pcap'), [{ atMs: 0, from: OFFENDER, port: 22 }])
    const { page } = await reportOn(file, policy([service('ssh', 22)]))
    expect(sectionOf(page, 'Levels of buckets')).toContain('No bucket was drawn from.')
  })
})
