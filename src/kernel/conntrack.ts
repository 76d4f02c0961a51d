import { formatPrefix, type Prefix } from '../net/prefix.ts'
import { addon } from './addon.ts'
import { errnoName, NetlinkError } from './netlink-error.ts'
import { packRecords } from './records.ts'

/**
 * Deletes the connection tracking entry of every flow that was opened from one of `sources`, so that a
 * ban also ends what is open already. Returns how many. One pass over the kernel's table per address
 * family asked for, in which each flow is compared with each source.
 *
 * @throws NetlinkError without CAP_NET_ADMIN (EPERM) or connection tracking (EINVAL).
 */
export function deleteConnections(sources: readonly Prefix[]): number {
  if (sources.length === 0) return 0
  const deleted = addon().conntrackDelete(
    packRecords(sources.map((prefix) => ({ prefix, timeoutSeconds: 0 }))),
  )
  if (deleted >= 0) return deleted
  const more = sources.length > 1 ? ` and ${sources.length - 1} more` : ''
  throw new NetlinkError(`delete the connections of ${formatPrefix(sources[0]!)}${more}`, errnoName(-deleted))
}
