import { readFileSync } from 'node:fs'
import { EXIT, Failure } from '../failure.ts'

/** Bit of CAP_NET_ADMIN in capability sets (linux/capability.h). */
const CAP_NET_ADMIN = 12n

/** @throws Failure (noPermission) if this process may not change the firewall. */
export function requireNetAdmin(status: string = readFileSync('/proc/self/status', 'utf8')): void {
  if (hasNetAdmin(status)) return
  const who = process.getuid?.() === 0 ? 'root without it' : `user ${process.getuid?.()}`
  throw new Failure(
    EXIT.noPermission,
    `the capability CAP_NET_ADMIN is missing (running as ${who})`,
    'run it as root ("sudo npm start"), by the systemd unit, or in a container with --cap-add NET_ADMIN --cap-add NET_RAW',
  )
}

/** Whether /proc/PID/status shows CAP_NET_ADMIN in the effective set. */
export function hasNetAdmin(status: string): boolean {
  const [, hex = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? []
  return ((BigInt(`0x${hex}`) >> CAP_NET_ADMIN) & 1n) === 1n
}
