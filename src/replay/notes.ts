import { counted } from '../control/counted.ts'
import { roughDuration } from '../control/rough-duration.ts'
import { grouped } from '../grouped.ts'
import { linkTypeName } from './capture/link-type-names.ts'
import type { ReplayedFile, ReplayFacts } from './replay.ts'

/** What is odd about the captures, in sentences: damage, clocks, and packets that could not be judged. */
export function notesOf(facts: ReplayFacts): string[] {
  const { files, traffic, clockSteps, unproven } = facts
  const several = files.length > 1
  const notes = files.flatMap((file) => {
    return fileNotes(file).map((note) => (several ? `${nameOf(file)}: ${note}` : note))
  })
  if (clockSteps > 0) {
    notes.push(
      `time goes back by more than 10 s ${times(clockSteps)}; it is taken to stand still there, so limits may look tighter`,
    )
  }
  for (const [reason, count] of traffic.unreadable) {
    notes.push(`${counted(count, 'packet')} not judged: ${UNREADABLE[reason] ?? reason}`)
  }
  if (traffic.notInbound > 0) {
    notes.push(`${counted(traffic.notInbound, 'attempt')} at ports of services of other hosts, not judged`)
  }
  if (unproven > 0) {
    notes.push(
      `${counted(unproven, 'offence')} without a ban: these sources complete too few connections in it (ban.proof)`,
    )
  }
  return notes
}

const UNREADABLE: Readonly<Record<string, string>> = {
  'cut-short': 'the capture holds too little of each packet (tcpdump -s 96 is enough)',
  malformed: 'malformed; a real kernel drops these itself',
  'later-fragment': 'later fragments, which carry no ports',
  'short-fragment': 'first fragments too short to hold the ports',
  'too-many-headers': 'more IPv6 extension headers than sluice looks through',
}

function fileNotes({ packets, ending, clock, skipped }: ReplayedFile): string[] {
  const notes: string[] = []
  if (packets === 0) notes.push('there is no packet in it')
  if (ending.kind === 'broken') {
    notes.push(`broken at byte ${ending.byte}, packet ${ending.packet}: ${ending.reason}`)
  }
  if (clock.startsAtZero)
    notes.push('its clock starts near 1970: dates mean nothing, times between packets do')
  if (clock.impossible > 0)
    notes.push(`${counted(clock.impossible, 'packet')} of no possible date took the furthest that there is`)
  if (clock.untimed > 0)
    notes.push(`${counted(clock.untimed, 'packet')} without a time took that of the one before`)
  const { backwards, jumps } = clock
  if (backwards.count > 0) {
    notes.push(
      `time goes back ${times(backwards.count)}, first at packet ${backwards.firstPacket}, by ${short(backwards.mostMs)} at most`,
    )
  }
  if (jumps.count > 0) {
    notes.push(
      `time jumps ahead ${times(jumps.count)}, first at packet ${jumps.firstPacket}, by ${short(jumps.mostMs)} at most`,
    )
  }
  if (skipped.tooShort > 0)
    notes.push(`${counted(skipped.tooShort, 'packet')} skipped: too short for an IP header`)
  for (const [linkType, count] of skipped.unknownLinks) {
    notes.push(`${counted(count, 'packet')} skipped: ${linkTypeName(linkType)} is not read`)
  }
  return notes
}

function nameOf({ file }: ReplayedFile): string {
  return file === '-' ? 'standard input' : file
}

function times(count: number): string {
  return count === 1 ? 'once' : `${grouped(count)} times`
}

function short(ms: number): string {
  return ms < 1000 ? `${Number(ms.toPrecision(2))} ms` : roughDuration(ms)
}
