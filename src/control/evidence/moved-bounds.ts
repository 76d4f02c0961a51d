import type { LoginModel } from '../../config/policy.ts'
import type { SshOpening } from './ssh-opening.ts'

/** An Ed25519 key and nothing else is what the numbers of the policy were measured with. */
const SMALLEST_KEY_BYTES = 4 + 51

/**
 * The least that each type of host key takes in `hostkeys-00@openssh.com`: its length, and its blob as in
 * RFC 4253, section 6.6, RFC 5656 and RFC 8709. For RSA it is that of 2,048 bits, the least that ssh-keygen has
 * made by default since 2007. Types that are not here count for nothing, so the bounds stay lower.
 */
const KEY_BYTES: readonly (readonly [algorithm: RegExp, bytes: number])[] = [
  [/^(ssh-rsa|rsa-sha2-(256|512))$/, 4 + 279],
  [/^ecdsa-sha2-nistp256$/, 4 + 104],
  [/^ecdsa-sha2-nistp384$/, 4 + 136],
  [/^ecdsa-sha2-nistp521$/, 4 + 172],
  [/^ssh-ed25519$/, SMALLEST_KEY_BYTES],
]

/**
 * `model` as it holds for a server that begins with `opening`. All sessions have the opening, so all bounds move by
 * what it has more or less. From 6.8 on OpenSSH tells its host keys to everybody who has logged in, so a
 * success has what these have more than one small one, and a failure can be told up to there.
 *
 * @returns `undefined`: the model was not measured with such a server.
 */
export function moveBounds(model: LoginModel, opening: SshOpening): LoginModel | undefined {
  const { openingBytes } = model
  if (openingBytes === undefined || !tellsHostKeys(opening)) return undefined
  const more = opening.bytes - openingBytes
  const succeededBytes = model.succeededBytes + Math.max(0, more)
  const keys = keyBytes(opening) - SMALLEST_KEY_BYTES
  const failedBytes = model.failedBytes + more + keys
  return {
    ...model,
    leastBytes: model.leastBytes + more,
    failedBytes: Math.min(succeededBytes - 1, failedBytes),
    largeLeastBytes: model.largeLeastBytes + more,
    // Not by the keys: a client that only seems to have large ones has sent as much for other reasons.
    largeFailedBytes: model.largeFailedBytes + more,
    succeededBytes,
  }
}

function tellsHostKeys({ software }: SshOpening): boolean {
  const [, major, minor] = /^OpenSSH_(\d{1,3})\.(\d{1,3})/.exec(software) ?? []
  return Number(major) > 6 || (Number(major) === 6 && Number(minor) >= 8)
}

function keyBytes({ hostKeyAlgorithms }: SshOpening): number {
  const held = KEY_BYTES.filter(([type]) => hostKeyAlgorithms.some((algorithm) => type.test(algorithm)))
  return held.reduce((sum, [, bytes]) => sum + bytes, 0)
}
