import { grouped } from '../grouped.ts'
import { REASONS } from '../path/reasons.ts'
import { REFUSING_LIMIT } from './bucket-rows.ts'
import type { ServiceRow } from './rows.ts'

/**
 * Refusals that no limit of a service stands for, so that no row of a bucket has them: SYNs that were sent again, and
 * what the rules for DNS queries refuse. As text: service, reason and number.
 */
export function otherRefusals(rows: readonly ServiceRow[]): string[] {
  const others = REASONS.filter(({ name, refuses }) => refuses && REFUSING_LIMIT[name] === undefined)
  return rows.flatMap(({ service, reasons }) =>
    others.flatMap(({ name }) => {
      const count = reasons[name] ?? 0
      return count === 0 ? [] : [`${service} ${name} ${grouped(count)}`]
    }),
  )
}
