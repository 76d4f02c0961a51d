import { errnoName } from './netlink-error.ts'

/** Commands of linux/netfilter/ipset/ip_set.h (enum ipset_cmd). */
export const IPSET_CMD = { destroy: 3, flush: 4, add: 9, del: 10, test: 11 } as const

/** Errors from here on are ipset's own (IPSET_ERR_PRIVATE); below are the system's. */
export const IPSET_ERR_PRIVATE = 4096
/** IPSET_ERR_EXIST: the entry is not there (delete, test), or there already (add, which we never ask). */
export const IPSET_ERR_EXIST = 4103

/**
 * enum ipset_errno of ip_set.h and the type-specific ones of ip_set_hash.h, as a person would say them.
 * 4097, IPSET_ERR_PROTOCOL, is an attribute missing or unknown: of ours, only the address can be.
 */
const TEXT = new Map([
  [4097, 'set does not hold this address family'],
  [4098, 'the kernel has no such set type (module ip_set_hash_net)'],
  [4099, 'the kernel holds its maximum number of sets'],
  [4100, 'set is in use'],
  [IPSET_ERR_EXIST, 'does not exist'],
  [4104, 'prefix length is not allowed'],
  [4106, 'set type does not support this address family'],
  [4107, 'set has no timeouts'],
  [4108, 'set is in use'],
  [4109, 'set holds IPv4 addresses'],
  [4110, 'set holds IPv6 addresses'],
  [4352, 'set is full'],
  [4353, 'the all-zero element is not allowed'],
])

/**
 * `code` of a NetlinkError for what the kernel answered to an ipset command. Only set-level answers can
 * be ENOENT ("set does not exist") and EEXIST (same name, other type, family or size).
 */
export function ipsetErrorText(errno: number): string {
  const name = errnoName(errno)
  if (name === 'ENOENT') return 'set does not exist'
  if (name === 'EEXIST') return 'set exists with other settings'
  return TEXT.get(errno) ?? (errno >= IPSET_ERR_PRIVATE ? `ipset error ${errno}` : name)
}
