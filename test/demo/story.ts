import type { Family } from '../../src/net/prefix.ts'
import { ATTACKER, HONEST, SERVER } from '../lib/scene.ts'
import type { Row } from './screen.ts'
import type { Attack } from './stage.ts'

/** One attack, over IPv4 or IPv6, with its moments in ms from its start on. */
export interface Act extends Attack {
  readonly family: Family
  readonly firstRefusalMs: number | undefined
  readonly banMs: number | undefined
}

/** Times of the honest logins in ms; `undefined`: it did not work. */
export type Logins = readonly (number | undefined)[]

export const INTRODUCTION = [
  'sluice demo: a real sshd, a real attacker and an honest user, in two network',
  'namespaces. Nothing outside of them is touched. It takes 40 seconds, and Ctrl-C',
  'ends it at any time.',
  '',
  `  server    ${SERVER[4].padEnd(14)}${SERVER[6].padEnd(18)}OpenSSH behind sluice`,
  `  attacker  ${ATTACKER[4].padEnd(14)}${ATTACKER[6].padEnd(18)}hydra, guessing passwords`,
  `  honest    ${HONEST[4].padEnd(14)}${HONEST[6].padEnd(18)}logs in with a key every 3 s`,
  '',
].join('\n')

/** How it stands now, a row for each attack and one for the honest client: at most 79 columns. */
export function standings(acts: readonly Act[], logins: Logins): Row[] {
  const failed = logins.filter((ms) => ms === undefined).length
  const honest = [
    logins.length,
    logins.length - failed,
    failed,
    0,
    '',
    failed > 0 ? `${failed} FAILED` : 'all worked',
  ]
  return [
    { actor: 'heading', text: row('', ['attempts', 'let in', 'refused', 'dropped', 'passwords', '']) },
    ...acts.map((act): Row => ({ actor: 'attacker', text: attackRow(act) })),
    { actor: 'honest', text: row('honest client', honest) },
  ]
}

function attackRow(act: Act): string {
  const { family, letIn, refused, dropped, guesses } = act
  return row(`attacker IPv${family}`, [letIn + refused, letIn, refused, dropped, guesses, attackState(act)])
}

function attackState({ ban, firstRefusalMs, letIn }: Act): string {
  if (ban !== undefined) return `BANNED, ${Math.ceil((ban.secondsLeft ?? 0) / 60)} min left`
  if (firstRefusalMs !== undefined) return 'over its limit'
  return letIn > 0 ? 'guessing' : 'starting'
}

function row(name: string, cells: readonly (string | number)[]): string {
  const [attempts = '', letIn = '', refused = '', dropped = '', passwords = '', state = ''] = cells
  const numbers = [
    String(attempts).padStart(9),
    ...[letIn, refused, dropped].map((cell) => String(cell).padStart(8)),
  ]
  return `  ${name.padEnd(13)}${numbers.join('')}${String(passwords).padStart(10)}  ${state}`.trimEnd()
}

/** What has happened, in words. `sluiceStatus`: what sluice has ended with, if it was started at all. */
export function conclusion(acts: readonly Act[], logins: Logins, sluiceStatus?: number | string): string {
  const worked = logins.filter((ms) => ms !== undefined)
  const honest = `${worked.length} of ${logins.length} logins worked, the slowest in ${seconds(Math.max(...worked))}.`
  const sluice = sluiceStatus === undefined ? '' : `sluice has ended with status ${sluiceStatus}; `
  return [
    '',
    ...acts.flatMap(attackInWords),
    ...(worked.length > 0 ? [`  honest client  ${honest}`] : []),
    `  ${sluice}the namespaces are gone, with all in them.`,
    '',
  ].join('\n')
}

function attackInWords({ family, letIn, guesses, firstRefusalMs, banMs, dropped }: Act): string[] {
  const guessing = `  attacker IPv${family}  ${letIn} connections got in and tried ${guesses} passwords.`
  if (firstRefusalMs === undefined || banMs === undefined) return [guessing]
  const indent = ' '.repeat(17)
  return [
    guessing,
    `${indent}Refused after ${seconds(firstRefusalMs)}, banned after ${seconds(banMs)}. Since then the kernel`,
    `${indent}drops what it sends: ${dropped} packets so far.`,
  ]
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
