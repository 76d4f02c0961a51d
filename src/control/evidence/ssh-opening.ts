/** SSH_MSG_KEXINIT (RFC 4253, section 12), and where its name-lists begin: after its number and the cookie. */
const KEXINIT = 20
const LISTS_AT = 1 + 16
/** The greeting of RFC 4253, section 4.2, with its end; ours are printable ASCII. */
const GREETING_MAX = 255
/** OpenSSH's own is 1,100 bytes; 35,000 is what RFC 4253 has everybody accept. */
export const OPENING_MAX = 8192

/** RFC 4251, section 6. They come into logs. */
const NAME = /^[!-+.-~-]{1,64}$/

/** What an SSH server says before its client has said anything that counts: the same for every client. */
export interface SshOpening {
  /** Such as `OpenSSH_9.2p1`. */
  readonly software: string
  /** Of the greeting and the first packet, on the wire. */
  readonly bytes: number
  /** Signature algorithms of the host keys that it has loaded. */
  readonly hostKeyAlgorithms: readonly string[]
}

/**
 * Reads the greeting and the KEXINIT of a server (RFC 4253, sections 4.2, 6 and 7.1).
 *
 * @param bytes all that it has sent so far, from whoever it is.
 * @returns 'more': it is not complete yet; 'foreign': it is not SSH as it should be.
 */
export function readSshOpening(bytes: Buffer): SshOpening | 'more' | 'foreign' {
  const lineEnd = bytes.subarray(0, GREETING_MAX).indexOf('\r\n')
  if (lineEnd < 0) return bytes.length < GREETING_MAX ? 'more' : 'foreign'
  const [, software] = /^SSH-2\.0-([!-,.-~]+)(?: [ -~]*)?$/.exec(bytes.toString('latin1', 0, lineEnd)) ?? []
  if (software === undefined) return 'foreign'
  const packet = bytes.subarray(lineEnd + 2)
  if (packet.length < 6) return 'more'
  // The length does not count itself; it does count the padding, and the byte that says how much that is.
  const length = packet.readUInt32BE(0)
  const payloadEnd = 4 + length - packet[4]!
  if (length > OPENING_MAX - GREETING_MAX || packet[5] !== KEXINIT) return 'foreign'
  if (packet.length < 4 + length) return 'more'
  const keys = nameList(packet.subarray(5, payloadEnd), 1)
  if (keys === undefined) return 'foreign'
  return { software, bytes: lineEnd + 2 + 4 + length, hostKeyAlgorithms: keys }
}

/** The name-list with that index, of which the first two are key exchanges and host keys. */
function nameList(kexInit: Buffer, index: number): string[] | undefined {
  let at = LISTS_AT
  for (let i = 0; ; i++) {
    if (at + 4 > kexInit.length) return undefined
    const end = at + 4 + kexInit.readUInt32BE(at)
    if (end > kexInit.length) return undefined
    if (i === index) {
      return kexInit
        .toString('latin1', at + 4, end)
        .split(',')
        .filter((name) => NAME.test(name))
    }
    at = end
  }
}
