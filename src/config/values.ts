import { grouped } from '../grouped.ts'
import { type Prefix, parsePrefix } from '../net/prefix.ts'
import { nearest } from './nearest.ts'
import type { Limit, PortRange, Protocol } from './policy.ts'

/**
 * Reads one value of the policy file.
 *
 * @throws SyntaxError or RangeError whose message says what is wrong and what is allowed
 */
export type Parse<T> = (value: unknown) => T

const DURATION_UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const
const RATE_UNITS = { s: 1, min: 60, h: 3600, d: 86_400 } as const
const MOST_PER_SECOND = 1_000_000

/** Says that `value` is not what is wanted: missing, empty or wrong. */
export function complaint(value: unknown, wanted: string, hint?: string): string {
  if (value === undefined) return `is missing; write ${wanted}`
  if (value === null) return `is empty; write ${wanted}`
  const suggestion = hint === undefined ? '' : ` (did you mean ${hint}?)`
  return `${show(value)} is not allowed; write ${wanted}${suggestion}`
}

/** `value` as a message quotes it, cut to a bearable length. */
function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value)
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'a section' : String(value)
}

export function integer(least: number, most: number): Parse<number> {
  return (value) => {
    const wanted = `a whole number from ${grouped(least)} to ${grouped(most)}`
    if (typeof value !== 'number' || !Number.isInteger(value)) throw new SyntaxError(complaint(value, wanted))
    if (value < least || value > most) throw new RangeError(complaint(value, wanted))
    return value
  }
}

export function decimal(least: number, most: number): Parse<number> {
  return (value) => {
    const wanted = `a number from ${least} to ${most}`
    if (typeof value !== 'number' || !(value >= least && value <= most)) {
      throw new SyntaxError(complaint(value, wanted))
    }
    return value
  }
}

/** YAML 1.2 knows only these two: `yes` and `off` are text there. */
export function boolean(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new SyntaxError(complaint(value, 'true or false'))
  return value
}

export function choice<const T extends string>(...choices: T[]): Parse<T> {
  return (value) => {
    const found = choices.find((each) => each === value)
    if (found !== undefined) return found
    const hint = typeof value === 'string' ? nearest(value, choices) : undefined
    throw new SyntaxError(complaint(value, either(choices), hint))
  }
}

function either(choices: readonly string[]): string {
  return `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`
}

/** A text that `pattern` matches; `wanted` describes such texts. */
export function text(pattern: RegExp, wanted: string): Parse<string> {
  return (value) => {
    if (typeof value !== 'string' || !pattern.test(value)) throw new SyntaxError(complaint(value, wanted))
    return value
  }
}

/** `10m` in milliseconds. */
export function duration(leastMs: number, mostMs: number): Parse<number> {
  return (value) => {
    const wanted = `a duration from ${formatDuration(leastMs)} to ${formatDuration(mostMs)}, such as 90s, 10m, 2h, 30d or 4w`
    const match = typeof value === 'string' ? /^(\d{1,9})(ms|s|m|h|d|w)$/.exec(value) : null
    if (match === null) {
      const hint = /^\d{1,9}$/.test(String(value)) ? `${value}s` : undefined
      throw new SyntaxError(complaint(value, wanted, hint))
    }
    const ms = Number(match[1]) * DURATION_UNITS[match[2] as keyof typeof DURATION_UNITS]
    if (ms < leastMs || ms > mostMs) throw new RangeError(complaint(value, wanted))
    return ms
  }
}

/** The inverse of `duration`, in the largest unit that needs no fraction. */
export function formatDuration(ms: number): string {
  const units = Object.entries(DURATION_UNITS).reverse()
  const [unit, size] = units.find(([, each]) => ms % each === 0) ?? ['ms', 1]
  return `${ms / size}${unit}`
}

/** `10/min` in tokens a second. */
export function rate(value: unknown): Limit['ratePerSecond'] {
  const wanted = `a rate such as 5/s, 10/min, 100/h or 1/d, at least 1/d and at most ${grouped(MOST_PER_SECOND)}/s`
  const match = typeof value === 'string' ? /^(\d{1,12})\/(s|min|h|d)$/.exec(value) : null
  if (match === null) {
    const hint = /^\d{1,12}(\/m)?$/.test(String(value))
      ? `${Number.parseInt(String(value), 10)}/min`
      : undefined
    throw new SyntaxError(complaint(value, wanted, hint))
  }
  const perSecond = Number(match[1]) / RATE_UNITS[match[2] as keyof typeof RATE_UNITS]
  if (perSecond === 0 || perSecond > MOST_PER_SECOND) throw new RangeError(complaint(value, wanted))
  return perSecond
}

/** The inverse of `rate`, in the smallest unit in which it is a whole number. */
export function formatRate(ratePerSecond: number): string {
  const units = Object.entries(RATE_UNITS)
  const isWhole = (count: number) => count > 0.5 && Math.abs(count - Math.round(count)) < 1e-6
  const [unit, seconds] = units.find(([, each]) => isWhole(ratePerSecond * each)) ?? ['d', RATE_UNITS.d]
  return `${Math.max(1, Math.round(ratePerSecond * seconds))}/${unit}`
}

/** `22`, `53/udp` or `8000-8010/tcp`. */
export function ports(value: unknown): PortRange {
  const wanted = 'ports from 1 to 65535, such as 22, 53/udp or 8000-8010/tcp'
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp))?$/.exec(
    typeof value === 'object' ? '' : String(value),
  )
  if (match === null) throw new SyntaxError(complaint(value, wanted))
  const protocol: Protocol = match[3] === 'udp' ? 'udp' : 'tcp'
  const first = Number(match[1])
  const last = Number(match[2] ?? first)
  if (first < 1 || first > 65_535 || last < 1 || last > 65_535) throw new RangeError(complaint(value, wanted))
  if (last < first)
    throw new RangeError(complaint(value, wanted, formatPorts({ protocol, first: last, last: first })))
  return { protocol, first, last }
}

/** The inverse of `ports`, always with the protocol. */
export function formatPorts({ protocol, first, last }: PortRange): string {
  return first === last ? `${first}/${protocol}` : `${first}-${last}/${protocol}`
}

/** An entry of the allow list. */
export function allowed(value: unknown): Prefix {
  const prefix = parsePrefix(
    addressText(value, 'an address or prefix such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32'),
  )
  // An ipset of type hash:net refuses it too.
  if (prefix.length > 0) return prefix
  throw new RangeError(`${show(value)} allows everybody and so switches sluice off; write a narrower prefix`)
}

/** Where a listener binds: one IPv4 or IPv6 address. */
export function listenAddress(value: unknown): string {
  const wanted = 'an address such as 127.0.0.1, ::1 or 0.0.0.0'
  const text = addressText(value, wanted)
  if (text.includes('/')) throw new SyntaxError(complaint(value, wanted))
  parsePrefix(text)
  return text
}

/** Text that has only characters of an address: what else is in a message about it is harmless. */
function addressText(value: unknown, wanted: string): string {
  if (typeof value === 'string' && /^[0-9A-Fa-f:./]{1,64}$/.test(value)) return value
  throw new SyntaxError(complaint(value, wanted))
}
