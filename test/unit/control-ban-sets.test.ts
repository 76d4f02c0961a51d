import { MemoryBanSets } from '../../src/control/bans/memory-ban-sets.ts'
import { banSetsContract, CONTRACT_ENTRIES } from '../lib/ban-sets-contract.ts'

banSetsContract(async () => {
  let nowMs = 0
  return {
    sets: new MemoryBanSets(CONTRACT_ENTRIES, () => nowMs),
    pass: async (ms) => {
      nowMs += ms
    },
  }
})
