/**
 * Exit statuses of every `sluice` command. The values above 63 are those of sysexits(3), so that
 * scripts and systemd can tell a bad configuration from a missing kernel feature.
 */
export const EXIT = {
  ok: 0,
  /** The daemon or the firewall answered no: never-ban list, address not banned, chains not in place. */
  refused: 1,
  /** EX_USAGE: the command line itself is wrong. */
  usage: 64,
  /** EX_DATAERR: a capture is none, or is broken; what could be read of it was. */
  dataError: 65,
  /** EX_NOINPUT: a named file does not exist or cannot be read. */
  noInput: 66,
  /** EX_UNAVAILABLE: no daemon answers, or the kernel or the addon lacks something. */
  unavailable: 69,
  /** EX_SOFTWARE: a defect in sluice itself. */
  software: 70,
  /** EX_OSERR: the kernel refused an operation that should have worked. */
  osError: 71,
  /** EX_CANTCREAT: an output file cannot be written. */
  cannotCreate: 73,
  /** EX_TEMPFAIL: another process holds the queue number, the metrics port or the control socket. */
  inUse: 75,
  /** EX_NOPERM: not root, or CAP_NET_ADMIN is missing. */
  noPermission: 77,
  /** EX_CONFIG: the policy does not parse or is impossible. */
  config: 78,
} as const

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT]

/**
 * An end that the user can do something about. `message` says what failed and where, `remedy` how to
 * get what is missing; `main.ts` prints both on standard error and exits with `status`.
 */
export class Failure extends Error {
  readonly status: ExitStatus
  readonly remedy: string | undefined

  constructor(status: ExitStatus, message: string, remedy?: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'Failure'
    this.status = status
    this.remedy = remedy
  }
}
