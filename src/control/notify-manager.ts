import { NetlinkError } from '../kernel/netlink-error.ts'
import { sdNotify } from '../kernel/notify.ts'
import type { Log } from './log/log.ts'

/** Tells systemd, where it listens. That it cannot be told is no reason to stop. */
export function notifyManager(state: string, log: Log): void {
  try {
    sdNotify(state)
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error
    log.warn('notify-failed', error.message)
  }
}
