import { addon } from './addon.ts'
import { errnoName } from './netlink-error.ts'

/**
 * Tells the service manager `state` (sd_notify(3): "READY=1", "RELOADING=1\nMONOTONIC_USEC=...") by the
 * datagram socket that NOTIFY_SOCKET names, a path or an abstract name with "@". False, and nothing is
 * sent, if there is none: sluice was not started by systemd.
 *
 * @throws Error if the socket does not take it.
 */
export function sdNotify(state: string): boolean {
  const path = process.env.NOTIFY_SOCKET
  if (path === undefined || path === '') return false
  const errno = addon().notify(path, state)
  if (errno !== 0) throw new Error(`cannot notify the service manager at ${path}: ${errnoName(errno)}`)
  return true
}
