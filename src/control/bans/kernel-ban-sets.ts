import { addEntries, deleteEntries, listSet } from '../../kernel/ipset.ts'
import type { BanSets } from './ban-sets.ts'

/** Bans in the kernel's ipsets, which the firewall has created: packets of these sources are dropped. */
export const kernelBanSets: BanSets = { add: addEntries, delete: deleteEntries, list: listSet }
