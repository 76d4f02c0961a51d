import { EXIT, Failure } from '../failure.ts'
import { EVERYTHING, type Extensions } from './rules.ts'

/** Which rules the chains of a family are without, and why. */
export interface Lack {
  readonly given: Extensions
  readonly reason: string
}

export const OTHERS_TRACK: Lack = {
  given: { ...EVERYTHING, marksEvents: false },
  reason: 'rules of others in the table raw use the target CT, and ours would come before them',
}

/** What is tried in turn when the kernel refuses the whole: it does not say which extension it lacks. */
export const WITHOUT: readonly Extensions[] = [
  { ...EVERYTHING, thinsFlood: false },
  { ...EVERYTHING, marksEvents: false },
  { thinsFlood: false, marksEvents: false },
]

/** Whether rules may have been refused for an extension that is not there, as far as the tools let one tell. */
export function mayLackExtension(error: unknown): error is Failure {
  return error instanceof Failure && (error.status === EXIT.unavailable || error.status === EXIT.osError)
}

/** What is without these rules, in words. */
export function lackNotes(lacks: readonly Lack[]): string[] {
  const reasons = (rule: keyof Extensions) => [
    ...new Set(lacks.filter(({ given }) => !given[rule]).map(({ reason }) => reason)),
  ]
  return [
    ...reasons('marksEvents').map((why) => `conntrack tells more than is needed of new connections: ${why}`),
    ...reasons('thinsFlood').map((why) => `floods of reverse queries come to the queue as a whole: ${why}`),
  ]
}
