import { EXIT, Failure } from '../../failure.ts'
import { formatPrefix, parsePrefix } from '../../net/prefix.ts'
import type { Evidence } from '../evidence/evidence.ts'
import { endOf, type Trusted } from '../evidence/trust.ts'
import type { DaemonState } from '../state.ts'
import type { LearnedRow, Results } from './protocol.ts'
import type { Request } from './requests.ts'
import { clockTime } from './rows.ts'

export interface LearnedState extends Pick<DaemonState, 'log' | 'now'> {
  readonly evidence: Pick<Evidence, 'trust'>
}

/** All sources known good, those that stay it for longest on top. */
export function listLearned({ evidence, now }: LearnedState): LearnedRow[] {
  const learned = evidence.trust?.listed() ?? []
  return learned.sort((a, b) => endOf(b) - endOf(a)).map((trusted) => learnedRow(trusted, now()))
}

/** Makes strangers of the sources in a prefix. Bans and allow list are untouched. @throws Failure (usage, refused) */
export function forgetLearned(
  { evidence, log, now }: LearnedState,
  { prefix: text }: Extract<Request, { op: 'allow forget' }>,
): Results['allow forget'] {
  const prefix = parse(text)
  const forgotten = evidence.trust?.forget(prefix) ?? []
  if (forgotten.length === 0) {
    const message = `nobody in ${formatPrefix(prefix)} is known good`
    throw new Failure(EXIT.refused, message, '"sluice allow list --learned" shows who is')
  }
  for (const { source, service } of forgotten) {
    const known = formatPrefix(source)
    log.info('trust-forgotten', `${known} is no longer known good to ${service}, as asked`, {
      source: known,
      service,
    })
  }
  return { forgotten: forgotten.map((trusted) => learnedRow(trusted, now())) }
}

function learnedRow(trusted: Trusted, nowMs: number): LearnedRow {
  const { source, service, successes, sinceMs, lastMs } = trusted
  return {
    source: formatPrefix(source),
    service,
    successes,
    since: clockTime(sinceMs, nowMs),
    last: clockTime(lastMs, nowMs),
    until: clockTime(endOf(trusted), nowMs),
  }
}

function parse(text: string) {
  try {
    return parsePrefix(text)
  } catch (error) {
    throw new Failure(EXIT.usage, (error as Error).message)
  }
}
