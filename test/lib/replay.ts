import { writeFileSync } from 'node:fs'
import { jsonPieces } from '../../src/cli/write-json.ts'
import type { Policy } from '../../src/config/policy.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import { Engine } from '../../src/replay/engine.ts'
import { Outcome } from '../../src/replay/outcome.ts'
import { replay } from '../../src/replay/replay.ts'
import { type Summary, summarize } from '../../src/replay/summary.ts'
import { VerdictCsv } from '../../src/replay/verdict-csv.ts'
import { ethernet, pcap } from './capture-files.ts'
import { type PacketFields, packet } from './packets.ts'

/** A packet of a capture to be built: `atMs` after the capture's beginning. */
export interface Sent extends PacketFields {
  readonly atMs: number
}

export interface Replayed {
  readonly summary: Summary
  /** The lines behind the header. */
  readonly csv: readonly string[]
  /** All that is printed, to be compared byte by byte. */
  readonly text: string
}

export interface ReplayTestOptions {
  readonly local?: readonly string[]
  readonly against?: Policy
  /** Records kept of each kind. */
  readonly most?: number
}

/** Replays `files` under `policy`. */
export async function replayFiles(
  files: readonly string[],
  policy: Policy,
  { local, against, most }: ReplayTestOptions = {},
): Promise<Replayed> {
  let csv = ''
  const verdicts = new VerdictCsv(async (text) => {
    csv += text
  })
  const [first, second] = [new Outcome(policy, most), against && new Outcome(against, most)]
  const engines = [new Engine(policy, [first, verdicts])]
  if (second !== undefined) engines.push(new Engine(second.policy, [second]))
  const facts = await replay({ files, engines, local: local?.map(parsePrefix) })
  await verdicts.flush()
  const named = { file: 'one.yaml', outcome: first }
  const summary = summarize(facts, named, second && { file: 'two.yaml', outcome: second })
  const json = [...jsonPieces(summary)].join('')
  // As JSON has it, where all rows are in arrays.
  return { summary: JSON.parse(json), csv: csv.trim().split('\n').slice(1), text: `${json}\n${csv}` }
}

/** A capture of Ethernet frames with `packets` in it, each a new SYN unless it says otherwise. */
export function writeCapture(path: string, packets: readonly Sent[], startSeconds = 1_700_000_000): string {
  const records = packets.map(({ atMs, ...fields }, i) => {
    const micros = Math.round(atMs * 1000)
    return {
      seconds: startSeconds + Math.floor(micros / 1e6),
      fraction: micros % 1e6,
      bytes: ethernet(packet({ sequence: i + 1, ...fields }), fields.from.includes(':') ? 0x86dd : 0x0800),
    }
  })
  writeFileSync(path, pcap(records))
  return path
}
