import * as z from 'zod'
import { nearest } from './nearest.ts'
import {
  banCanBeCarriedOut,
  dnsFitsServices,
  failuresAreSeen,
  limitsNest,
  outcomesAreApart,
  partsFitTogether,
  serviceCanBan,
  serviceSpeaksDns,
  servicesAreApart,
  sweepLimitsNest,
  trustGrows,
} from './rules.ts'
import {
  allowed,
  boolean,
  choice,
  complaint,
  decimal,
  duration,
  integer,
  listenAddress,
  type Parse,
  ports,
  rate,
  text,
} from './values.ts'

// A policy is checked once: to compile the check first would take longer.
z.config({ jitless: true })

const SECOND = 1000
const DAY = 86_400 * SECOND

// This table is the list of all settings: name, allowed values, default. rules/sluice.yaml explains them.

const limit = section({
  burst: value(integer(1, 1_000_000)),
  rate: value(rate),
})

const service = section({
  enabled: value(boolean, true),
  ports: list(value(ports), 'a list of ports, such as [22, 53/udp]', 1, 64),
  mode: value(choice('enforce', 'shadow'), 'enforce'),
  dns: value(boolean).optional(),
  limits: section({
    source: limit.optional(),
    network: limit.optional(),
    total: limit.optional(),
    known: limit.optional(),
  }).superRefine(limitsNest, evenIfWrong()),
  ban: section({
    strikes: value(integer(1, 255)),
    within: value(duration(SECOND, 7 * DAY)),
  }).optional(),
  failures: section({
    tries: value(integer(1, 1000)),
    forget: value(duration(SECOND, 30 * DAY)),
  }).optional(),
  outcome: value(choice('ssh', 'dropbear', 'submission', 'smtp', 'none'), 'none'),
})
  .superRefine(serviceCanBan, evenIfWrong())
  .superRefine(serviceSpeaksDns, evenIfWrong())
  .superRefine(failuresAreSeen, evenIfWrong())

const bytes = integer(0, 1_000_000)
const packets = integer(0, 10_000)

/**
 * The numbers by default: see docs/outcomes.md.
 *
 * @param large the least and the most of a session that has failed, with large keys
 */
function loginModel(least: number, failed: number, large: readonly [number, number], succeeded: number) {
  return {
    least: value(bytes, least),
    failed: value(bytes, failed),
    largeFrom: value(bytes, 2800),
    largeLeast: value(bytes, large[0]),
    largeFailed: value(bytes, large[1]),
    largePackets: value(packets, 18),
    succeeded: value(bytes, succeeded),
    grace: value(duration(SECOND, 7 * DAY), '150s'),
  }
}

/** A policy file, checked and with its defaults, by the names of the file. Durations are in ms. */
export const policyFile = section({
  mode: value(choice('enforce', 'shadow'), 'enforce'),
  threads: value(integer(1, 16), 1),
  sources: value(integer(1024, 16_777_216), 262_144),
  services: z
    .record(z.string(), service, {
      error: (issue) => complaint(issue.input, 'a section for each service, such as ssh'),
    })
    .superRefine(servicesAreApart, evenIfWrong()),
  allow: orEmpty(list(value(allowed), 'a list of addresses, such as [192.0.2.1]', 0, 65_536), []),
  ban: orEmpty(
    section({
      first: value(duration(SECOND, 365 * DAY), '10m'),
      factor: value(decimal(1, 100), 4),
      longest: value(duration(SECOND, 365 * DAY), '3w'),
      jitter: value(decimal(0, 1), 0.1),
      memory: value(duration(SECOND, 365 * DAY), '30d'),
      allPortsFrom: value(integer(1, 1000), 3),
      maxEntries: value(integer(1, 1_048_576), 65_536),
      proof: value(choice('handshake', 'none'), 'handshake'),
      proofWindow: value(duration(10 * SECOND, DAY), '10m'),
    }).superRefine(banCanBeCarriedOut, evenIfWrong()),
  ),
  holds: orOff(
    section({
      above: value(decimal(0, 0.9), 0.05),
      factor: value(decimal(1, 10_000), 20),
    }),
  ),
  trust: orOff(
    section({
      first: value(duration(SECOND, 365 * DAY), '1h'),
      factor: value(decimal(1, 100), 4),
      longest: value(duration(SECOND, 365 * DAY), '30d'),
      maxEntries: value(integer(1, 65_536), 16_384),
    }).superRefine(trustGrows, evenIfWrong()),
  ),
  networks: orOff(
    section({
      sources: value(integer(2, 256), 8),
      memory: value(duration(SECOND, 30 * DAY), '6h'),
    }),
  ),
  outcomes: orEmpty(
    section({
      ssh: orEmpty(
        section({
          ...loginModel(1360, 1880, [2790, 2880], 6000),
          askServer: value(boolean, true),
          opening: value(bytes, 1129),
        }).superRefine(outcomesAreApart, evenIfWrong()),
      ),
      dropbear: orEmpty(
        section(loginModel(1050, 1100, [0, 0], 2800)).superRefine(outcomesAreApart, evenIfWrong()),
      ),
      submission: orEmpty(
        section({
          succeeded: value(bytes, 4000),
          packets: value(packets, 24),
          perPacket: value(bytes, 43),
        }),
      ),
      smtp: orEmpty(section({ succeeded: value(bytes, 4000) })),
    }),
  ),
  dns: orEmpty(
    section({
      reverse: limits({ source: [100, '10/s'], network: [5000, '500/s'], total: [20_000, '2000/s'] }),
      malformed: limits({ source: [20, '1/s'], network: [200, '10/s'], total: [1000, '50/s'] }),
      sweep: orOff(
        section({
          names: value(integer(8, 10_000), 30),
          partial: value(integer(4, 10_000), 16),
          within: value(duration(10 * SECOND, 3600 * SECOND), '1m'),
          source: limitOf(10, '1/s'),
          network: limitOf(20, '2/s'),
        }).superRefine(sweepLimitsNest, evenIfWrong()),
      ),
      flood: orOff(
        section({
          usual: value(rate, '200/s'),
          factor: value(decimal(1.5, 100), 4),
          calm: value(duration(SECOND, 3600 * SECOND), '30s'),
        }),
      ),
      slip: value(integer(0, 10)).optional(),
      slipRate: value(rate, '1000/s'),
      notrack: value(boolean, false),
      unsolicited: orOff(section({ alarm: value(rate, '10/s') })),
      induced: orOff(
        section({
          alarm: value(integer(1, 1_000_000), 1000),
          strikes: value(integer(0, 10_000), 0),
          within: value(duration(SECOND, 7 * DAY), '1h'),
        }),
      ),
    }),
  ),
  queue: orEmpty(
    section({
      first: value(integer(0, 65_535), 9713),
      length: value(integer(1, 65_535), 8192),
      copy: value(integer(64, 65_531), 256),
      failOpen: value(boolean, true),
    }),
  ),
  firewall: orEmpty(
    section({
      backend: value(choice('auto', 'nft', 'legacy'), 'auto'),
      check: value(duration(100, 60 * SECOND), '2s'),
    }),
  ),
  metrics: orOff(
    section({
      address: value(listenAddress, '127.0.0.1'),
      port: value(integer(1, 65_535), 9713),
    }),
  ),
  control: orEmpty(
    section({
      // sockaddr_un holds 108 bytes with the closing NUL.
      socket: value(
        text(/^\/[!-~]{1,106}$/, 'an absolute path of at most 107 ASCII characters without blanks'),
        '/run/sluice/control.sock',
      ),
      group: value(text(/^[a-z_][a-z0-9_-]{0,31}$/, 'the name of a group, such as sluice'), 'sluice'),
    }),
  ),
  state: orOff(
    section({
      directory: value(
        text(/^\/[!-~]{1,200}$/, 'an absolute path of at most 201 ASCII characters without blanks'),
        '/var/lib/sluice',
      ),
    }),
  ),
  log: orEmpty(
    section({
      level: value(choice('debug', 'info', 'warn', 'error'), 'info'),
      format: value(choice('auto', 'json', 'pretty'), 'auto'),
    }),
  ),
})
  .superRefine(partsFitTogether, evenIfWrong())
  .superRefine(dnsFitsServices, evenIfWrong())

/** Limits of which every part has a default. */
function limits(defaults: Record<'source' | 'network' | 'total', readonly [burst: number, rate: string]>) {
  return orEmpty(
    section({
      source: limitOf(...defaults.source),
      network: limitOf(...defaults.network),
      total: limitOf(...defaults.total),
    }).superRefine(limitsNest, evenIfWrong()),
  )
}

function limitOf(burst: number, perTime: string) {
  return orEmpty(section({ burst: value(integer(1, 1_000_000), burst), rate: value(rate, perTime) }))
}

export type PolicyFile = z.output<typeof policyFile>

/** One setting. Without `byDefault` it must be there. */
function value<T>(parse: Parse<T>, byDefault?: unknown) {
  const setting = z.unknown().transform((given, context): T => {
    try {
      return parse(given)
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error
      context.addIssue({ code: 'custom', message: error.message })
      return z.NEVER
    }
  })
  return byDefault === undefined ? setting : setting.prefault(byDefault)
}

/**
 * A map of settings that refuses unknown keys. The message about them has one line for each, in the order
 * of the issue's `keys`.
 */
function section<Shape extends z.ZodRawShape>(shape: Shape) {
  const keys = Object.keys(shape)
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys')
        return complaint(issue.input, `a section with ${keys.join(', ')}`)
      return issue.keys.map((key) => unknownKey(key, keys)).join('\n')
    },
  })
}

/** What to say about a key that is not one of `keys`. */
function unknownKey(key: string, keys: readonly string[]): string {
  const hint = nearest(key, keys)
  const suggestion = hint === undefined ? '' : ` (did you mean "${hint}"?)`
  return `unknown key; allowed are ${keys.join(', ')}${suggestion}`
}

function list<Item extends z.ZodType>(item: Item, wanted: string, least: number, most: number) {
  return z
    .array(item, { error: (issue) => complaint(issue.input, wanted) })
    .min(least, `is empty; write ${wanted}`)
    .max(most, {
      error: ({ input }) => `has ${(input as unknown[]).length} entries; at most ${most} are allowed`,
    })
}

/** A section or list of which every part is optional may be left out, or stay empty with its lines commented out. */
function orEmpty<Inner extends z.ZodType>(inner: Inner, empty: unknown = {}) {
  return z.preprocess((given) => given ?? empty, inner)
}

/** A section of which every part is optional, or the word `off`, which gives `undefined`. */
function orOff<Inner extends z.ZodType>(inner: Inner) {
  const isOff = (given: unknown) => given === 'off' || given === false
  return (
    z
      .preprocess((given) => (isOff(given) ? undefined : (given ?? {})), inner.optional())
      // Without this a missing key would mean "off".
      .prefault({})
  )
}

/** Zod's own rule is to leave out such checks when a part is wrong: then one run would not show all errors. */
function evenIfWrong() {
  return {
    when: ({ value }: { value: unknown }) =>
      typeof value === 'object' && value !== null && !Array.isArray(value),
  }
}
