import { readFileSync, type Stats, statSync } from 'node:fs'
import { EXIT, Failure } from '../failure.ts'
import { type Path, PolicyDocument, type Problem } from './document.ts'
import {
  answersTcp,
  type DnsLimits,
  type DnsPolicy,
  type Limit,
  type OutcomeKind,
  type OutcomeModel,
  type Policy,
  type Service,
  speaksDns,
} from './policy.ts'
import { type PolicyFile, policyFile } from './schema.ts'

/** An allow list of 65,536 entries fits. */
const MOST_BYTES = 2 ** 20
/** BIND and NSD do the same. */
const DEFAULT_SLIP = 2
/** More lines than this nobody reads, and a file that is no policy at all has as many as it likes. */
const MOST_LINES = 100

/** A policy that was refused, with everything that is wrong with it. */
export class PolicyError extends Failure {
  readonly file: string
  /** In the order of the file. */
  readonly problems: readonly Problem[]

  /** The message has one line for each problem: `file:line:column: path: what is wrong; what is allowed`. */
  constructor(file: string, problems: readonly Problem[]) {
    const lines = problems.slice(0, MOST_LINES).map((problem) => formatProblem(file, problem))
    if (problems.length > MOST_LINES) lines.push(`${file}: and ${problems.length - MOST_LINES} more errors`)
    super(EXIT.config, lines.join('\n'))
    this.name = 'PolicyError'
    this.file = file
    this.problems = problems
  }
}

/**
 * Reads the policy file at `path`.
 *
 * @throws PolicyError if it is no valid policy, Failure with `EXIT.noInput` if it cannot be read
 */
export function loadPolicy(path: string): Policy {
  const bytes = readPolicyFile(path)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw refusal(path, 'the file is not UTF-8 text; save it in UTF-8')
  }
  return parsePolicy(text, path)
}

/**
 * Reads a policy from `text`; `fileName` is for messages only.
 *
 * @throws PolicyError if it is no valid policy
 */
export function parsePolicy(text: string, fileName: string): Policy {
  const document = new PolicyDocument(text)
  if (document.problems.length > 0 && document.value === undefined) {
    throw new PolicyError(fileName, document.problems)
  }
  if (document.value === null)
    throw refusal(fileName, 'the file is empty; rules/sluice.yaml shows a whole policy')
  const checked = policyFile.safeParse(document.value)
  if (checked.success && document.problems.length === 0) return toPolicy(checked.data)

  const known = new Set(document.problems.map(({ path }) => path))
  const more = (checked.error?.issues ?? [])
    .flatMap((issue) => toProblems(document, issue))
    .filter(({ path }) => !known.has(path))
  const problems = [...document.problems, ...more]
  throw new PolicyError(
    fileName,
    problems.sort((a, b) => a.line - b.line || a.column - b.column),
  )
}

const SHIPPED = 'sluice comes with a policy, rules/sluice.yaml: copy it there, or name it instead'

function readPolicyFile(path: string): Buffer {
  try {
    const stats = statSync(path)
    refuseOddFile(path, stats)
    return readFileSync(path)
  } catch (error) {
    if (error instanceof Failure) throw error
    const remedy = (error as NodeJS.ErrnoException).code === 'ENOENT' ? SHIPPED : undefined
    throw new Failure(EXIT.noInput, `cannot read the policy ${path}: ${reasonOf(error)}`, remedy, {
      cause: error,
    })
  }
}

/** Opening a pipe could wait forever. */
function refuseOddFile(path: string, stats: Stats): void {
  if (!stats.isFile()) {
    const kind = stats.isDirectory() ? 'a directory' : 'no regular file'
    throw new Failure(EXIT.noInput, `cannot read the policy ${path}: it is ${kind}`)
  }
  if (stats.size > MOST_BYTES)
    throw refusal(path, `the file has ${stats.size} bytes; at most 1 MiB is allowed`)
}

function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EACCES') return 'permission denied'
  return error instanceof Error ? error.message : String(error)
}

function refusal(file: string, message: string): PolicyError {
  return new PolicyError(file, [{ line: 1, column: 1, path: '', message }])
}

function formatProblem(file: string, { line, column, path, message }: Problem): string {
  return `${file}:${line}:${column}: ${path && `${path}: `}${message}`
}

type Issue = NonNullable<ReturnType<typeof policyFile.safeParse>['error']>['issues'][number]

function toProblems(document: PolicyDocument, issue: Issue): Problem[] {
  const path: Path = issue.path
  if (issue.code !== 'unrecognized_keys') return [document.problem(path, issue.message)]
  const messages = issue.message.split('\n')
  return issue.keys.map((key, i) => document.problem([...path, key], messages[i]!, 'key'))
}

function toPolicy(file: PolicyFile): Policy {
  return {
    mode: file.mode,
    threads: file.threads,
    sources: file.sources,
    queue: {
      first: file.queue.first,
      length: file.queue.length,
      copyBytes: file.queue.copy,
      failOpen: file.queue.failOpen,
      socketBufferBytes: socketBufferBytes(file.queue.length, file.queue.copy),
    },
    services: Object.entries(file.services)
      .filter(([, service]) => service.enabled)
      .map(([name, service]) => toService(name, service, file.outcomes)),
    ban: {
      firstMs: file.ban.first,
      factor: file.ban.factor,
      longestMs: file.ban.longest,
      memoryMs: file.ban.memory,
      allPortsFrom: file.ban.allPortsFrom,
      jitter: file.ban.jitter,
      maxEntries: file.ban.maxEntries,
      proof: file.ban.proof,
      proofWindowMs: file.ban.proofWindow,
    },
    dns: toDns(file),
    holds: file.holds,
    trust: file.trust && {
      firstMs: file.trust.first,
      factor: file.trust.factor,
      longestMs: file.trust.longest,
      maxEntries: file.trust.maxEntries,
    },
    networks: file.networks && { sources: file.networks.sources, memoryMs: file.networks.memory },
    allow: file.allow,
    firewall: { backend: file.firewall.backend, checkMs: file.firewall.check },
    metrics: file.metrics,
    control: file.control,
    state: file.state,
    log: file.log,
  }
}

/**
 * Room for every packet that may wait. The kernel doubles the number and charges a message twice its size at
 * worst (kmalloc rounds up to powers of two) plus 1.2 kB for itself: 2,048 bytes for a SYN, as measured.
 */
function socketBufferBytes(length: number, copyBytes: number): number {
  return length * (1024 + copyBytes)
}

function toService(
  name: string,
  file: PolicyFile['services'][string],
  outcomes: PolicyFile['outcomes'],
): Service {
  return {
    name,
    ports: file.ports,
    mode: file.mode,
    dns: speaksDns(file),
    limits: {
      source: toLimit(file.limits.source),
      network: toLimit(file.limits.network),
      total: toLimit(file.limits.total),
      known: toLimit(file.limits.known),
    },
    ban: file.ban && { strikes: file.ban.strikes, withinMs: file.ban.within },
    failures: file.failures && { tries: file.failures.tries, forgetMs: file.failures.forget },
    outcome: toOutcomeModel(file.outcome, outcomes),
  }
}

function toOutcomeModel(
  kind: OutcomeKind | 'none',
  { ssh, dropbear, submission, smtp }: PolicyFile['outcomes'],
): OutcomeModel | undefined {
  switch (kind) {
    case 'none':
      return undefined
    case 'smtp':
      return { kind, succeededBytes: smtp.succeeded, failedPackets: Infinity, failedBytesPerPacket: 0 }
    case 'submission':
      return {
        kind,
        succeededBytes: submission.succeeded,
        failedPackets: submission.packets,
        failedBytesPerPacket: submission.perPacket,
      }
    default: {
      const file = { ssh, dropbear }[kind]
      return {
        kind,
        leastBytes: file.least,
        failedBytes: file.failed,
        largeFromBytes: file.largeFrom,
        largeLeastBytes: file.largeLeast,
        largeFailedBytes: file.largeFailed,
        largeFailedPackets: file.largePackets,
        succeededBytes: file.succeeded,
        graceMs: file.grace,
        openingBytes: kind === 'ssh' && ssh.askServer ? ssh.opening : undefined,
      }
    }
  }
}

function toDns({ dns, services }: PolicyFile): DnsPolicy {
  const { reverse, malformed, sweep, flood, unsolicited, induced, ...given } = dns
  return {
    reverse: toDnsLimits(reverse),
    malformed: toDnsLimits(malformed),
    sweep: sweep && {
      names: sweep.names,
      partial: sweep.partial,
      withinMs: sweep.within,
      source: toLimit(sweep.source),
      network: toLimit(sweep.network),
    },
    flood: flood && { usualPerSecond: flood.usual, factor: flood.factor, calmMs: flood.calm },
    slip: given.slip ?? (servedByTcp(services).every(Boolean) ? DEFAULT_SLIP : 0),
    slipPerSecond: given.slipRate,
    notrack: given.notrack,
    unsolicited: unsolicited && { alarmPerSecond: unsolicited.alarm },
    induced: induced && {
      alarmPerHour: induced.alarm,
      ban: induced.strikes === 0 ? undefined : { strikes: induced.strikes, withinMs: induced.within },
    },
  }
}

/** For each DNS service whether those who are asked to come back over TCP can. */
function servedByTcp(services: PolicyFile['services']): boolean[] {
  return Object.values(services)
    .filter((each) => each.enabled && speaksDns(each))
    .map(answersTcp)
}

function toDnsLimits({ source, network, total }: PolicyFile['dns']['reverse']): DnsLimits {
  return { source: toLimit(source), network: toLimit(network), total: toLimit(total) }
}

function toLimit(file: { burst: number; rate: number }): Limit
function toLimit(file: { burst: number; rate: number } | undefined): Limit | undefined
function toLimit(file: { burst: number; rate: number } | undefined): Limit | undefined {
  return file && { burst: file.burst, ratePerSecond: file.rate }
}
