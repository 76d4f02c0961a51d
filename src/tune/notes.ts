import { counted } from '../control/counted.ts'
import { roughDuration } from '../control/rough-duration.ts'
import type { Passages } from './passages.ts'
import { formatShare } from './share.ts'
import { LEAST_SHARED_NETWORKS, LEAST_SOURCES, type TunedService, type Tuning } from './tune.ts'

const HOUR_MS = 3_600_000

/** What limits the worth of the honest captures, in sentences. */
export function honestNotes({ honest, allowed, forgotten }: Tuning): string[] {
  const notes: string[] = []
  if (honest.elapsedMs < HOUR_MS) {
    const span = roughDuration(honest.elapsedMs)
    notes.push(`${span} of honest traffic says little about the busiest hour: capture a day or more`)
  }
  if (honest.traffic.otherPorts > 0) {
    const attempts = counted(honest.traffic.otherPorts, 'attempt')
    notes.push(`${attempts} at ports of no enabled service, not looked at`)
  }
  if (allowed > 0) notes.push(`${counted(allowed, 'attempt')} from the allow list, which no limit holds up`)
  if (forgotten > 0) {
    const left = counted(forgotten, 'source')
    notes.push(`${left} or networks forgotten to keep memory bounded: limits may be too tight for them`)
  }
  return notes
}

/** What is to be said about the proposal for one service. */
export function serviceNotes(tuned: TunedService, share: number): string[] {
  const { curve, best, limits, letThrough } = tuned
  const unknown = limits.filter(({ isKnown }) => !isKnown).map(({ kind }) => kind)
  if (curve.buckets === 0) return ['no honest traffic: nothing is proposed, its limits stay']
  if (best === undefined) {
    return ['no policy can hold what its sources need: nothing is proposed, its limits stay']
  }
  const notes: string[] = []
  if (curve.covered === curve.buckets && share < 1) {
    notes.push(`${formatShare(share)} of ${counted(curve.buckets, 'source')} is all of them`)
  }
  if (unknown.includes('network')) {
    notes.push(
      `fewer than ${LEAST_SHARED_NETWORKS} networks with several sources: the network limit is raised at most`,
    )
  }
  if (unknown.includes('total')) {
    notes.push(`fewer than ${LEAST_SOURCES} sources: the total limit is raised at most`)
  }
  if (letThrough < curve.covered) {
    const short = counted(curve.covered - letThrough, 'source')
    notes.push(
      `${short} short of the share: banned over another service, or by a limit that cannot be raised`,
    )
  }
  return notes
}

/** What is to be said about one attack. */
export function attackNotes({ services, allowed, forgotten }: Passages): string[] {
  const notes: string[] = []
  if (services.size === 0) notes.push('no attempt at a port of a service came in')
  if (allowed > 0) notes.push(`${counted(allowed, 'attempt')} from the allow list, which no limit holds up`)
  if (forgotten > 0) notes.push(`${counted(forgotten, 'source')} in the totals only, to keep memory bounded`)
  return notes
}
