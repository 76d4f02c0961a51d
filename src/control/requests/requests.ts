import * as z from 'zod'
import { LONGEST_BAN_SECONDS } from '../bans/escalation.ts'

/** Text that is shown on other people's terminals: it must not carry escape sequences. */
export const printable = z
  .string()
  .min(1)
  .max(200)
  .regex(/^\P{C}+$/u, 'must be printable text')
/** As long as a policy file may be. */
const POLICY_CHARACTERS_MAX = 2 ** 20
const prefix = z.string().max(64)
const name = z.string().max(32)

/**
 * Every request that the control socket takes: the closed union. `prefix` is as the user wrote it; a bare
 * IPv6 address means its /64.
 */
const requestSchema = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('status') }),
  z.strictObject({ op: z.literal('dns') }),
  z.strictObject({ op: z.literal('reload') }),
  z.strictObject({
    op: z.literal('apply'),
    /** The policy itself: what the user can read, the daemon may not. */
    text: z.string().max(POLICY_CHARACTERS_MAX),
    /** For messages. */
    file: z
      .string()
      .min(1)
      .max(4096)
      .regex(/^\P{C}+$/u, 'must be printable text'),
    seconds: z.int().min(1).max(86_400),
  }),
  z.strictObject({ op: z.literal('trial') }),
  z.strictObject({ op: z.literal('confirm') }),
  z.strictObject({ op: z.literal('panic'), reason: printable.optional() }),
  z.strictObject({ op: z.literal('resume') }),
  z.strictObject({ op: z.literal('bans list') }),
  z.strictObject({
    op: z.literal('bans add'),
    prefix,
    /** By default as long as a first offence costs. */
    seconds: z.int().min(1).max(LONGEST_BAN_SECONDS).optional(),
    /** By default all ports. */
    service: name.optional(),
    reason: printable.optional(),
  }),
  z.strictObject({ op: z.literal('bans remove'), prefix, service: name.optional() }),
  z.strictObject({ op: z.literal('allow list') }),
  z.strictObject({ op: z.literal('allow learned') }),
  z.strictObject({ op: z.literal('allow forget'), prefix }),
  z.strictObject({ op: z.literal('allow add'), prefix, reason: printable.optional() }),
  z.strictObject({ op: z.literal('allow remove'), prefix }),
  /** One address, or an IPv6 /64. */
  z.strictObject({ op: z.literal('explain'), address: prefix }),
])

export type Request = z.output<typeof requestSchema>

/** The request in `line`, or what is wrong with it. */
export function parseRequest(line: string): Request | string {
  let json: unknown
  try {
    json = JSON.parse(line)
  } catch {
    return 'not understood: a request is a JSON object on one line, such as {"op":"status"}'
  }
  const parsed = requestSchema.safeParse(json)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const where = issue?.path.length ? `${issue.path.join('.')}: ` : ''
  return `not understood: ${where}${issue?.message}`
}
