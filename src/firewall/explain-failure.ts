import { readFileSync } from 'node:fs'
import { EXIT, Failure } from '../failure.ts'
import type { Family } from '../net/prefix.ts'
import type { ToolError } from './run-tool.ts'

/** What our rules use beyond ports, with the kernel's option for each. */
const EXTENSIONS = [
  { kind: 'match', name: 'set', option: 'CONFIG_NETFILTER_XT_SET' },
  { kind: 'match', name: 'multiport', option: 'CONFIG_NETFILTER_XT_MATCH_MULTIPORT' },
  { kind: 'match', name: 'conntrack', option: 'CONFIG_NETFILTER_XT_MATCH_CONNTRACK' },
  { kind: 'match', name: 'statistic', option: 'CONFIG_NETFILTER_XT_MATCH_STATISTIC' },
  { kind: 'match', name: 'bpf', option: 'CONFIG_NETFILTER_XT_MATCH_BPF' },
  { kind: 'target', name: 'CT', option: 'CONFIG_NETFILTER_XT_TARGET_CT' },
  { kind: 'target', name: 'NFQUEUE', option: 'CONFIG_NETFILTER_XT_TARGET_NFQUEUE' },
] as const

const NO_PERMISSION = /permission denied|operation not permitted|must be root/i
const LOCKED = /xtables lock/i
const NO_TABLES = /generation id|can(no|')t initiali[sz]e|unable to initiali[sz]e/i
const UNREADABLE = /parsing nftables rule failed|is incompatible/i
/** In its `RULE_APPEND failed` iptables-nft gives no more than errno, and iptables-legacy only the line. */
const RULE_REFUSED = /RULE_APPEND failed \(No such file|line \d+ failed$|No chain\/target\/match/m

/**
 * The failure of an iptables tool in words that lead on: which permission, match, target or table is
 * missing, where the tool itself says no more than "line 4 failed". `input` is what the tool was given.
 */
export function explainFailure(
  error: ToolError,
  family: Family,
  input = '',
  loaded = loadedExtensions(family),
): Failure {
  const { command, stderr } = error
  const fail = (status: Failure['status'], message: string, remedy?: string) =>
    new Failure(status, message, remedy, { cause: error })

  if (error.isMissing) {
    return fail(EXIT.unavailable, `${command} is not installed`, 'apt-get install iptables')
  }
  if (LOCKED.test(stderr)) {
    return fail(
      EXIT.inUse,
      error.message,
      'another program holds /run/xtables.lock: try again when it has ended',
    )
  }
  if (NO_PERMISSION.test(stderr)) {
    return fail(EXIT.noPermission, error.message, 'run as root, or give CAP_NET_ADMIN and CAP_NET_RAW')
  }
  if (NO_TABLES.test(stderr)) {
    return fail(
      EXIT.unavailable,
      error.message,
      'this kernel does not have it: set firewall.backend to the other one (nft or legacy)',
    )
  }
  if (UNREADABLE.test(stderr)) {
    return fail(
      EXIT.osError,
      `${command} cannot read its table: somebody wrote a rule there with nft`,
      'move that rule to a table of its own (see "nft list ruleset"), or set firewall.backend to legacy',
    )
  }
  const library = /Couldn't load (?:match|target) `([^']+)'/.exec(stderr)?.[1]
  if (library !== undefined) {
    return fail(EXIT.unavailable, `${command} has no extension "${library}"`, 'apt-get install iptables')
  }
  const missing = missingExtensions(stderr, input, loaded)
  if (missing.length > 0) {
    return fail(
      EXIT.unavailable,
      `${command} failed since the kernel lacks ${missing.join(' and ')}`,
      'boot a kernel that has it (on Debian: linux-image-amd64), or ask the provider of this container',
    )
  }
  return fail(EXIT.osError, error.message)
}

interface Extensions {
  readonly match: readonly string[]
  readonly target: readonly string[]
}

/**
 * The kernel lists an extension once it is loaded; having just been asked for all of them, it does not list
 * those that it lacks. `undefined` where there is no such list (no iptables-legacy in this kernel).
 */
function loadedExtensions(family: Family): Extensions | undefined {
  const prefix = family === 4 ? '/proc/net/ip_tables' : '/proc/net/ip6_tables'
  try {
    return { match: lines(`${prefix}_matches`), target: lines(`${prefix}_targets`) }
  } catch {
    return undefined
  }
}

function lines(file: string): string[] {
  return readFileSync(file, 'utf8').split('\n').filter(Boolean)
}

function missingExtensions(stderr: string, input: string, loaded: Extensions | undefined): string[] {
  const named = /Extension (\S+) revision \d+ (?:is )?not supported/.exec(stderr)?.[1]
  const isRefused = loaded !== undefined && RULE_REFUSED.test(stderr)
  return EXTENSIONS.filter(({ kind, name }) => {
    const isUsed = input.includes(`${kind === 'match' ? '-m' : '-j'} ${name} `)
    return name === named || (isUsed && isRefused && !loaded[kind].includes(name))
  }).map(({ kind, name, option }) => `the ${name} ${kind} (${option})`)
}
