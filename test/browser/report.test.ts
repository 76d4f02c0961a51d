import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { renderReport } from '../../src/replay/report/page.ts'
import { OFFENDER, reportOn, scenePolicy, writeScene } from '../lib/report.ts'
import { Scratch } from '../lib/scratch.ts'

/** Headless and without what a browser fetches for itself. */
const ARGUMENTS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
]

/** Runs, fetches or breaks out wherever it is not escaped. */
const HOSTILE = `"'></title></style></script><img src="http://192.0.2.99/x" onerror="window.hit=1"><script>window.hit=1</script><b id=hit>\u202e`

const scratch = new Scratch()
const report = scratch.path('report.html')
const hostile = scratch.path('hostile.html')
let browser: Browser
let page: Page
/** What a page must not do. */
let complaints: string[]

beforeAll(async () => {
  const scene = writeScene(scratch.path('scene.pcap'))
  writeFileSync(report, (await reportOn(scene, scenePolicy())).page)
  writeFileSync(hostile, await hostilePage(scene))
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ARGUMENTS })
})
afterAll(async () => {
  await browser.close()
  scratch.close()
})

beforeEach(async () => {
  complaints = []
  page = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' })
  page.on('console', (message) => complaints.push(`console: ${message.text()}`))
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`))
  page.on('request', (request) => {
    if (!request.isNavigationRequest()) complaints.push(`request: ${request.url()}`)
  })
})
afterEach(() => page.close())

/** A report in which every string that comes from outside is hostile, even those that others check before. */
async function hostilePage(scene: string): Promise<string> {
  const rules = scenePolicy()
  const [ssh, ...others] = rules.services
  const named = { ...rules, services: [{ ...ssh!, name: HOSTILE }, ...others] }
  const { summary, recorder } = await reportOn(scene, named, { against: scenePolicy(), policyFile: HOSTILE })
  const files = summary.files.map((file) => ({ ...file, file: HOSTILE }))
  const banned = summary.policy.banned.map((ban) => ({ ...ban, reason: HOSTILE, source: HOSTILE }))
  return renderReport(
    { ...summary, files, notes: [HOSTILE], policy: { ...summary.policy, banned } },
    recorder,
  )
}

function open(path: string) {
  return page.goto(pathToFileURL(path).href)
}

/** Widths and heights of what the plots draw, in pixels, of those figures that are shown. */
function drawn(selector: string): Promise<{ width: number; height: number }[]> {
  return page.locator(`figure:not([hidden]) ${selector}`).evaluateAll((shapes) =>
    shapes.map((shape) => {
      const { width, height } = shape.getBoundingClientRect()
      return { width, height }
    }),
  )
}

test('opens from a file without a word, and asks nobody for anything', async () => {
  await open(report)
  expect(complaints).toEqual([])
})

test('shows the plots', async () => {
  await open(report)
  const timelines = await drawn('.timeline path:not(.grid)')
  expect(timelines).toHaveLength(7)
  expect(timelines.every(({ width, height }) => width > 10 && height > 20)).toBe(true)
  const bans = await drawn('.bans rect')
  expect(bans).toHaveLength(12)
  expect(bans.every(({ width, height }) => width > 20 && height > 5)).toBe(true)
  const [level] = await drawn('path.level')
  expect(level!.width).toBeGreaterThan(300)
  expect(level!.height).toBeGreaterThan(50)
})

test('shows the levels of the source that is chosen, and of no other', async () => {
  await open(report)
  const shown = () => page.locator('figure[data-source]:visible h3').allTextContents()
  const picture = () => page.locator('figure[data-source]:visible').screenshot()
  const [before, pictureBefore] = [await shown(), await picture()]
  expect(before).toEqual(['203.0.113.53, dns'])
  await page.getByLabel('Source', { exact: true }).selectOption({ label: `${OFFENDER}, ssh` })
  expect(await shown()).toEqual([`${OFFENDER}, ssh`])
  expect(pictureBefore.equals(await picture())).toBe(false)
})

test('the source can be chosen with the keyboard', async () => {
  await open(report)
  await page.getByLabel('Source', { exact: true }).focus()
  await page.keyboard.press('ArrowDown')
  expect(await page.locator('figure[data-source]:visible h3').allTextContents()).toEqual([`${OFFENDER}, ssh`])
})

test('without scripts, the levels of all sources are there, and nothing to choose from', async () => {
  const context = await browser.newContext({ javaScriptEnabled: false })
  const page = await context.newPage()
  await page.goto(pathToFileURL(report).href)
  expect(await page.locator('figure[data-source]:visible').count()).toBe(15)
  expect(await page.locator('.chooser').isVisible()).toBe(false)
  await context.close()
})

describe.each(['light', 'dark'] as const)('in %s', (colorScheme) => {
  test('text stands out from the page by 4.5 to 1 at least, and shapes by 3 to 1', async () => {
    await page.emulateMedia({ colorScheme })
    await open(report)
    expect(await contrastOf('p', 'color')).toBeGreaterThan(7)
    expect(await contrastOf('caption', 'color')).toBeGreaterThan(4.5)
    for (const shape of ['.accepted', '.refused', '.banned']) {
      expect(await contrastOf(shape, 'fill'), shape).toBeGreaterThan(3)
    }
  })
})

test('light and dark differ, and paper is always light', async () => {
  await open(report)
  const background = () => page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
  expect(await background()).toBe('rgb(255, 255, 255)')
  await page.emulateMedia({ colorScheme: 'dark' })
  expect(await background()).toBe('rgb(20, 23, 26)')
  await page.emulateMedia({ colorScheme: 'dark', media: 'print' })
  expect(await background()).toBe('rgb(255, 255, 255)')
})

test.each([1280, 400])('at %d pixels, nothing but tables is wider than the page', async (width) => {
  await page.setViewportSize({ width, height: 900 })
  await open(report)
  expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBe(width)
})

test('every table has a caption, every plot a name, and headings leave out no level', async () => {
  await open(report)
  expect(await page.locator('table:not(:has(caption))').count()).toBe(0)
  expect(await page.locator('svg:not([aria-hidden]):not([role=img][aria-label])').count()).toBe(0)
  const levels = await page
    .locator('h1, h2, h3')
    .evaluateAll((all) => all.map(({ tagName }) => Number(tagName[1])))
  expect(levels.filter((level) => level === 1)).toHaveLength(1)
  expect(levels.every((level, i) => level <= (levels[i - 1] ?? 0) + 1)).toBe(true)
})

test('hostile names are shown and do nothing', async () => {
  await open(hostile)
  await page.getByLabel('Source', { exact: true }).selectOption('1')
  expect(await page.evaluate<boolean>("'hit' in window")).toBe(false)
  expect(await page.locator('img, #hit, script').count()).toBe(1)
  expect(await page.locator('li').first().textContent()).toBe(HOSTILE.replace('\u202e', '\ufffd'))
  expect(await page.title()).toContain('<script>window.hit=1</script>')
  expect(complaints).toEqual([])
})

test('a script that slipped in would not run', async () => {
  await open(report)
  await page.evaluate(`
    const script = document.createElement('script')
    script.textContent = 'window.hit = 1'
    document.body.append(script)`)
  expect(await page.evaluate<boolean>("'hit' in window")).toBe(false)
  expect(complaints.join()).toContain('Content Security Policy')
})

/** Contrast of an element with the page, by WCAG 2.2. */
async function contrastOf(selector: string, property: 'color' | 'fill'): Promise<number> {
  const colours = await page.evaluate<[string, string]>(
    `[getComputedStyle(document.querySelector('${selector}')).${property}, getComputedStyle(document.body).backgroundColor]`,
  )
  const [dark, light] = colours.map(luminance).sort((a, b) => a - b)
  return (light! + 0.05) / (dark! + 0.05)
}

function luminance(colour: string): number {
  const [red, green, blue] = colour.match(/\d+/g)!.map((part) => {
    const share = Number(part) / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
}
