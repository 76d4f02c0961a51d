import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs'
import { createSet, destroySet, listSets } from '../kernel/ipset.ts'

const DIRECTORY = '/proc/sys/net/netfilter'

/** What conntrack has to do for sessions to be seen, with what is missing where it does not. */
const SWITCHES = [
  { name: 'acct', wanted: '1', replaces: ['0'], without: 'sessions have no volumes' },
  { name: 'timestamp', wanted: '1', replaces: ['0'], without: 'sessions have less exact durations' },
  // 0 stays: rules that ask for events get them all the same, and whoever wrote it wants no others.
  { name: 'events', wanted: '1', replaces: ['2'], without: 'proofs and sessions are seen a little later' },
] as const

type Switch = (typeof SWITCHES)[number]

/**
 * An empty ipset by its name: the kernel's own memory lasts exactly as long as what it remembers, whatever
 * becomes of processes and files, and each network namespace has its own.
 */
const MEMORY = /^sluice-was-(acct|timestamp|events)-(\d)$/

/** The same by the name of the switch, for when another tool destroys every set. */
const known = new Map<string, string>()

/**
 * Has conntrack count, take times and tell of events. What was there before is remembered in the kernel
 * first, for `switchBack`; what is on already is left alone.
 *
 * @returns what could not be switched on and what that means, in words.
 */
export function switchOn(): string[] {
  return SWITCHES.flatMap((each) => {
    const value = read(each)
    if (value === undefined) return [note(each, 'this kernel does not have it')]
    try {
      // An earlier run that was killed may have remembered it; then this one found somebody else's change.
      const isOff = needsChange(each, value)
      const before = remembered(each.name) ?? known.get(each.name) ?? (isOff ? value : undefined)
      if (before !== undefined) remember(each, before)
      if (isOff) writeFileSync(file(each), each.wanted)
      return []
    } catch (error) {
      known.delete(each.name)
      forget(memoryName(each, value))
      return [note(each, `it is ${value} and cannot be changed: ${(error as Error).message}`)]
    }
  })
}

/** Puts back what `switchOn` changed, in this process or another, unless somebody has changed it since. */
export function switchBack(): string[] {
  return SWITCHES.flatMap((each) => {
    const before = remembered(each.name) ?? known.get(each.name)
    if (before === undefined) return []
    known.delete(each.name)
    const isOurs = read(each) === each.wanted
    if (isOurs) writeFileSync(file(each), before)
    forget(memoryName(each, before))
    return isOurs ? [`${sysctl(each)}: back to ${before}`] : []
  })
}

/** What somebody has switched off again, though it could be on, and what the kernel has been made to forget. */
export function switchProblems(): string[] {
  return SWITCHES.flatMap((each) => {
    const value = read(each)
    const before = known.get(each.name)
    if (before !== undefined && remembered(each.name) === undefined)
      return [`set ${memoryName(each, before)} is missing`]
    if (value === undefined || !needsChange(each, value) || !isWritable(each)) return []
    return [`${sysctl(each)} is ${value} instead of ${each.wanted}`]
  })
}

function needsChange({ replaces }: Switch, value: string): boolean {
  return (replaces as readonly string[]).includes(value)
}

function remember(each: Switch, value: string): void {
  if (remembered(each.name) === undefined) createSet(memoryName(each, value), { family: 4, maxEntries: 1 })
  known.set(each.name, value)
}

function remembered(name: string): string | undefined {
  for (const set of listSets()) {
    const [, known, value] = MEMORY.exec(set.name) ?? []
    if (known === name) return value
  }
  return undefined
}

function memoryName({ name }: Switch, value: string): string {
  return `sluice-was-${name}-${value}`
}

function forget(set: string): void {
  try {
    destroySet(set)
  } catch {
    // It was not there.
  }
}

function read(each: Switch): string | undefined {
  try {
    return readFileSync(file(each), 'utf8').trim()
  } catch {
    return undefined
  }
}

function isWritable(each: Switch): boolean {
  try {
    accessSync(file(each), constants.W_OK)
    return true
  } catch {
    return false
  }
}

function note(each: Switch, why: string): string {
  return `${sysctl(each)} is not on, so ${each.without}: ${why}`
}

function sysctl({ name }: Switch): string {
  return `net.netfilter.nf_conntrack_${name}`
}

function file({ name }: Switch): string {
  return `${DIRECTORY}/nf_conntrack_${name}`
}
