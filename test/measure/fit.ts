// Fits the models on one half of the measured sessions, and judges the other half with the shipped ones.
//
//   npx tsx test/measure/fit.ts
//
// Prints the numbers that belong into rules/sluice.yaml and src/config/schema.ts, and the tables of docs/outcomes.md.
import { parsePolicy } from '../../src/config/load.ts'
import type { LoginModel, OutcomeKind } from '../../src/config/policy.ts'
import { type Confusion, confusionOf, isCutShort, isFitted, kindOf, modelsOf, wilson } from './judging.ts'
import { readOpenings, readRows, type SessionRow } from './session-rows.ts'

/** IP and TCP, and the option of timestamps. */
const HEADERS = { 4: 40, 6: 60 } as const
const TIMESTAMPS = 12
const KINDS: readonly OutcomeKind[] = ['ssh', 'dropbear', 'submission', 'smtp']

const all = ['ssh', 'smtp'].flatMap((kind) => readRows(`rules/outcomes/${kind}.tsv`))
const rows = all.filter((row) => !isCutShort(row))
const openings = readOpenings('rules/outcomes/ssh-servers.tsv')
const models = modelsOf(KINDS.map(policyOf), openings)

for (const kind of KINDS) {
  const ofKind = rows.filter((row) => kindOf(row) === kind)
  const fitted = ofKind.filter(({ run }) => isFitted(run))
  console.log(`\n## ${kind}: ${ofKind.length} sessions, ${fitted.length} to fit\n`)
  console.log(kind === 'ssh' || kind === 'dropbear' ? fitLogin(fitted) : fitMail(fitted))
  const judged = ofKind.filter(({ run }) => !isFitted(run))
  print('all', judged)
  for (const server of new Set(judged.map((row) => row.server)))
    print(
      server,
      judged.filter((row) => row.server === server),
    )
  if (kind === 'ssh')
    print(
      'guessers',
      judged.filter(({ name }) => /^(hydra|medusa|ncrack|paramiko: wrong|patator|sshpass)/.test(name)),
    )
}

function policyOf(kind: OutcomeKind) {
  const service = `{ports: [22], limits: {source: {burst: 1, rate: 1/s}}, outcome: ${kind}}`
  return parsePolicy(`services: {x: ${service}}\n`, kind)
}

function print(title: string, judged: readonly SessionRow[]): void {
  const confusion: Confusion = confusionOf(judged, models)
  for (const truth of ['failed', 'succeeded', 'none'] as const) {
    const row = confusion[truth]
    const all = row.failed + row.succeeded + row.unclear
    const cells = (['failed', 'succeeded', 'unclear'] as const).map((outcome) => share(row[outcome], all))
    if (all > 0) console.log(`| ${[title, truth, all, ...cells].join(' | ')} |`)
  }
}

/** As much as a share of all, with its interval. */
function share(count: number, all: number): string {
  const percent = (part: number) => `${(100 * part).toFixed(part > 0 && part < 0.1 ? 1 : 0)}`
  const [low, high] = wilson(count, all)
  return `${count} (${percent(low)}-${percent(high)} %)`
}

/**
 * Below the least that any success had, by 1 or 2 %; above the most that any failure had, by half: each less what its
 * server has more than the one that the numbers are for.
 */
function fitLogin(fitted: readonly SessionRow[]): string {
  const failures = fitted.filter(({ truth }) => truth === 'failed')
  const successes = fitted.filter(({ truth }) => truth === 'succeeded')
  const tried = (row: SessionRow) => fromServer(row) - moves(row).leastBytes
  const succeeded = (row: SessionRow) => fromServer(row) - moves(row).failedBytes
  const hasLargeKeys = (row: SessionRow) => fromClient(row) >= 2800 && row.packetsToServer <= 18
  const tens = (bytes: number) => Math.floor(bytes / 10) * 10
  const oneTry = failures.filter((row) => hasLargeKeys(row) && row.tries === 1)
  const largeLeast = oneTry.length === 0 ? 0 : tens(0.98 * Math.min(...oneTry.map(tried)))
  const large = successes.filter(hasLargeKeys).map(tried)
  const numbers = {
    least: tens(0.95 * Math.min(...failures.map(tried))),
    // The arithmetic of other ciphers and MACs takes 20 bytes off, in four packets.
    failed: tens(0.99 * Math.min(...successes.map(succeeded))),
    largeLeast,
    largeFailed: tens(0.98 * Math.min(...large.filter((bytes) => bytes >= largeLeast))),
    succeeded: Math.ceil((1.5 * Math.max(...failures.map(tried))) / 100) * 100,
  }
  return `${JSON.stringify(numbers)}\n${fitTries(failures)}\n`
}

/** Tries by packets from the server: least squares. */
function fitTries(failures: readonly SessionRow[]): string {
  const points = failures.map(({ packetsToClient, tries = 0 }) => ({ x: packetsToClient, y: tries }))
  const mean = (values: readonly number[]) => values.reduce((sum, each) => sum + each, 0) / values.length
  const [x, y] = [mean(points.map((each) => each.x)), mean(points.map((each) => each.y))]
  const slope =
    mean(points.map((each) => (each.x - x) * (each.y - y))) / mean(points.map((each) => (each.x - x) ** 2))
  const off = mean(points.map((each) => Math.abs(y + slope * (each.x - x) - each.y)))
  return `tries: 1 for each ${(1 / slope).toFixed(2)} packets above ${(x - y / slope).toFixed(1)}; off by ${off.toFixed(1)} on average`
}

/** Below the fewest bytes for each packet that a mail had, by a fifth; above the most that passwords had, by half. */
function fitMail(fitted: readonly SessionRow[]): string {
  const failures = fitted.filter(({ truth }) => truth === 'failed').map(fromClient)
  const long = fitted.filter(({ truth, packetsToServer }) => truth === 'succeeded' && packetsToServer >= 24)
  const perPacket = Math.min(...long.map((row) => fromClient(row) / row.packetsToServer))
  const succeeded =
    failures.length === 0 ? 'as submission' : Math.ceil((1.5 * Math.max(...failures)) / 100) * 100
  return `${JSON.stringify({ succeeded, perPacket: Math.floor(0.8 * perPacket) })}\n`
}

/** By how much the bounds of its server are moved. */
function moves(row: SessionRow) {
  const [base, model] = [policyOf(kindOf(row)).services[0]!.outcome as LoginModel, models(row) as LoginModel]
  return {
    leastBytes: model.leastBytes - base.leastBytes,
    failedBytes: model.failedBytes - base.failedBytes,
  }
}

function fromServer(row: SessionRow): number {
  return row.bytesToClient - row.packetsToClient * headersOf(row)
}

function fromClient(row: SessionRow): number {
  return row.bytesToServer - row.packetsToServer * headersOf(row)
}

function headersOf({ family, timestamps }: SessionRow): number {
  return HEADERS[family] + timestamps * TIMESTAMPS
}
