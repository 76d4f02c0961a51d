import { readFileSync } from 'node:fs'
import type { SshOpening } from '../../src/control/evidence/ssh-opening.ts'
import type { Flow } from '../../src/replay/flows/flow-tracker.ts'

/** What really happened: `none`: nobody tried to log in. */
export type Truth = 'none' | 'failed' | 'succeeded'

/** One measured session. */
export interface SessionRow {
  readonly kind: 'ssh' | 'smtp'
  /** Which run of the measuring it is of: rows of one run belong together. */
  readonly run: number
  readonly truth: Truth
  /** Logins tried, where the server's log says so. */
  readonly tries: number | undefined
  readonly family: 4 | 6
  /** How far away the client was. */
  readonly roundTripMs: number
  /** Whether its packets had TCP timestamps, 1 or 0. */
  readonly timestamps: 0 | 1
  readonly durationMs: number
  readonly packetsToServer: number
  readonly bytesToServer: number
  readonly packetsToClient: number
  readonly bytesToClient: number
  readonly server: string
  readonly name: string
}

const COLUMNS = [
  'kind',
  'run',
  'truth',
  'tries',
  'family',
  'roundTripMs',
  'timestamps',
  'durationMs',
  'packetsToServer',
  'bytesToServer',
  'packetsToClient',
  'bytesToClient',
  'server',
  'name',
] as const

const TEXTS: ReadonlySet<string> = new Set(['kind', 'truth', 'server', 'name'])

export function formatRows(rows: readonly SessionRow[]): string {
  const lines = rows.map((row) => COLUMNS.map((column) => row[column] ?? '').join('\t'))
  return `${[COLUMNS.join('\t'), ...lines].join('\n')}\n`
}

/** The rows of `formatRows` in the file at `path`. */
export function readRows(path: string): SessionRow[] {
  const [, ...lines] = readFileSync(path, 'utf8').trimEnd().split('\n')
  return lines.map((line) => {
    const cells = line.split('\t')
    const entries = COLUMNS.map((column, i) => [column, cellValue(column, cells[i]!)])
    return Object.fromEntries(entries) as SessionRow
  })
}

function cellValue(column: string, cell: string): string | number | undefined {
  if (TEXTS.has(column)) return cell
  return cell === '' ? undefined : Number(cell)
}

/** What conntrack would have said of `flow`. */
export function rowOf(
  { address, startMs, lastMs, hasTimestamps, toServer, toClient }: Flow,
  facts: Pick<SessionRow, 'kind' | 'run' | 'truth' | 'tries' | 'roundTripMs' | 'server' | 'name'>,
): SessionRow {
  return {
    ...facts,
    family: address.family,
    timestamps: hasTimestamps ? 1 : 0,
    durationMs: Math.round(lastMs - startMs),
    packetsToServer: toServer.packets,
    bytesToServer: toServer.bytes,
    packetsToClient: toClient.packets,
    bytesToClient: toClient.bytes,
  }
}

/** How each SSH server begins, by its name: the lines of `formatOpenings`. */
export function readOpenings(path: string): Map<string, SshOpening> {
  const [, ...lines] = readFileSync(path, 'utf8').trimEnd().split('\n')
  const entries = lines.map((line) => {
    const [server = '', software = '', bytes, algorithms = ''] = line.split('\t')
    return [server, { software, bytes: Number(bytes), hostKeyAlgorithms: algorithms.split(',') }] as const
  })
  return new Map(entries)
}

export function formatOpenings(openings: ReadonlyMap<string, SshOpening>): string {
  const lines = [...openings].map(([server, { software, bytes, hostKeyAlgorithms }]) =>
    [server, software, bytes, hostKeyAlgorithms.join(',')].join('\t'),
  )
  return `${['server\tsoftware\topeningBytes\thostKeyAlgorithms', ...lines].join('\n')}\n`
}
