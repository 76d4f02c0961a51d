import { type Family, formatPrefix, type Prefix } from '../net/prefix.ts'
import { addon } from './addon.ts'
import { checkInteger } from './check-integer.ts'
import { IPSET_CMD, IPSET_ERR_EXIST, IPSET_ERR_PRIVATE, ipsetErrorText } from './ipset-errors.ts'
import { NetlinkError } from './netlink-error.ts'
import { addressFamily, packRecords, unpackRecords } from './records.ts'

/** `timeoutSeconds` 0 means for ever; the kernel's limit is 2,147,483 (IPSET_MAX_TIMEOUT). */
export interface SetEntry {
  readonly prefix: Prefix
  readonly timeoutSeconds: number
}

/** The entry at `index` of the call's list was refused: `code` as in NetlinkError, `message` for people. */
export interface EntryError {
  readonly index: number
  readonly code: string
  readonly message: string
}

const MAX_TIMEOUT_SECONDS = 2_147_483

/**
 * Creates a hash:net with timeouts (entries without one stay for ever). A set that exists already with
 * the same type and size is kept with its entries (the kernel does not compare the families).
 *
 * @throws NetlinkError "set exists with other settings" if the name is taken by another kind or size.
 */
export function createSet(name: string, options: { family: Family; maxEntries: number }): void {
  const { family, maxEntries } = options
  checkName(name)
  if (family !== 4 && family !== 6) throw new TypeError(`family must be 4 or 6: it is ${family}`)
  checkInteger('maxEntries', maxEntries, 1, 2 ** 32 - 1)
  refuse(`create set ${name}`, addon().ipsetCreate(name, addressFamily(family), maxEntries))
}

/** @throws NetlinkError "set does not exist", or "set is in use" while a rule names it. */
export function destroySet(name: string): void {
  checkName(name)
  refuse(`destroy set ${name}`, addon().ipsetCommand(IPSET_CMD.destroy, name))
}

/**
 * Removes every entry.
 *
 * @throws NetlinkError "set does not exist".
 */
export function flushSet(name: string): void {
  checkName(name)
  refuse(`flush set ${name}`, addon().ipsetCommand(IPSET_CMD.flush, name))
}

/**
 * Adds all entries, some hundred in a datagram; an entry that is there already gets the new timeout.
 * Returns those that the kernel refused ("set is full"); the others are in.
 *
 * @throws NetlinkError if the set as a whole cannot be changed ("set does not exist", "EPERM").
 */
export function addEntries(name: string, entries: readonly SetEntry[]): EntryError[] {
  checkName(name)
  for (const { timeoutSeconds } of entries) {
    checkInteger('timeoutSeconds', timeoutSeconds, 0, MAX_TIMEOUT_SECONDS)
  }
  const refused = sendEntries(IPSET_CMD.add, name, entries)
  return refused.map(({ index, errno }) => entryError(`add %s to set ${name}`, entries, index, errno))
}

/** Deletes all entries; returns those that were not there ("does not exist"). @throws like addEntries. */
export function deleteEntries(name: string, prefixes: readonly Prefix[]): EntryError[] {
  checkName(name)
  const entries = prefixes.map((prefix) => ({ prefix, timeoutSeconds: 0 }))
  const refused = sendEntries(IPSET_CMD.del, name, entries)
  return refused.map(({ index, errno }) => entryError(`delete %s from set ${name}`, entries, index, errno))
}

/**
 * Whether the set has an entry that covers `prefix`: for a whole address any of its networks, for a
 * network that very entry.
 *
 * @public
 */
export function testEntry(name: string, prefix: Prefix): boolean {
  checkName(name)
  const [refused] = sendEntries(IPSET_CMD.test, name, [{ prefix, timeoutSeconds: 0 }])
  if (refused === undefined) return true
  if (refused.errno === IPSET_ERR_EXIST) return false
  throw new NetlinkError(`test ${formatPrefix(prefix)} in set ${name}`, ipsetErrorText(refused.errno))
}

/** All entries with their remaining timeouts, in the kernel's order. @throws NetlinkError "set does not exist". */
export function listSet(name: string): SetEntry[] {
  checkName(name)
  const listed = addon().ipsetList(name)
  if (typeof listed !== 'number') return unpackRecords(listed)
  throw new NetlinkError(`list set ${name}`, ipsetErrorText(listed))
}

/** Every set of this network namespace, whatever its type, with its number of entries. */
export function listSets(): { name: string; entries: number }[] {
  const listed = addon().ipsetHeaders()
  if (typeof listed !== 'number') return listed
  throw new NetlinkError('list sets', ipsetErrorText(listed))
}

function sendEntries(command: number, name: string, entries: readonly SetEntry[]) {
  const answer = addon().ipsetEntries(command, name, packRecords(entries))
  if (typeof answer === 'number') throw new NetlinkError(`change set ${name}`, ipsetErrorText(answer))
  const refused = Array.from({ length: answer.length / 2 }, (_, i) => ({
    index: answer[i * 2]!,
    errno: answer[i * 2 + 1]!,
  }))
  // A plain errno (no such set, no permission, no memory) is not about one entry.
  const whole = refused.find(({ errno }) => errno < IPSET_ERR_PRIVATE)
  if (whole !== undefined) throw new NetlinkError(`change set ${name}`, ipsetErrorText(whole.errno))
  return refused
}

function entryError(
  operation: string,
  entries: readonly SetEntry[],
  index: number,
  errno: number,
): EntryError {
  const prefix = formatPrefix(entries[index]!.prefix)
  const { code, message } = new NetlinkError(operation.replace('%s', prefix), ipsetErrorText(errno))
  return { index, code, message }
}

function refuse(operation: string, errno: number): void {
  if (errno !== 0) throw new NetlinkError(operation, ipsetErrorText(errno))
}

/** IPSET_MAXNAMELEN is 32 with the closing NUL. */
function checkName(name: string): void {
  if (!/^[\x21-\x7e]{1,31}$/.test(name)) {
    throw new RangeError(`set name must be 1 to 31 printable ASCII characters: it is "${name}"`)
  }
}
