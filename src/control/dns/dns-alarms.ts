import { AnswerWindow, type MinuteOfAnswers } from '../../path/dns/answer-window.ts'
import type { DaemonState } from '../state.ts'
import { pathClockMs } from '../threads/path-clock.ts'

/** The alarm about answers that nobody asked for. */
export const UNSOLICITED_ALARM = 'unsolicited-answers'

type AlarmState = Pick<DaemonState, 'policy' | 'induced' | 'alarms' | 'threads'>

/** The alarm about the reverse lookups that clients of `service` cause. */
export function lookupsAlarm(service: string): string {
  return `induced-lookups:${service}`
}

/** Looks whether something that concerns DNS is out of the ordinary now. */
export function checkDnsAlarms(state: AlarmState): void {
  const { policy, induced, alarms } = state
  const names = policy.services.map(({ name }) => name)
  induced.keep(names)
  alarms.keep([UNSOLICITED_ALARM, ...names.map(lookupsAlarm)])
  const mostPerSecond = policy.dns.unsolicited?.alarmPerSecond
  if (mostPerSecond !== undefined) {
    const { count, sources } = unsolicitedAnswers(state)
    const what = `${Math.round(count / 60)} answers a second that nobody asked for, from about ${sources} sources`
    alarms.set(UNSOLICITED_ALARM, count / 60, mostPerSecond, what)
  }
  const level = policy.dns.induced?.alarmPerHour
  if (level === undefined) return
  for (const name of names) {
    const lookups = induced.count(name).lastHour(pathClockMs())
    const what = `clients of ${name} have caused ${lookups} reverse lookups within an hour`
    alarms.set(lookupsAlarm(name), lookups, level, what)
  }
}

/** Answers that nobody asked for in the last whole minute. */
export function unsolicitedAnswers({ threads }: Pick<DaemonState, 'threads'>): MinuteOfAnswers {
  return AnswerWindow.lastMinute(
    threads.all.map((thread) => thread.answers),
    pathClockMs(),
  )
}
