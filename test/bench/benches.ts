import { ban } from './benches/ban.ts'
import { banned } from './benches/banned.ts'
import { dns } from './benches/dns.ts'
import { dnsFloods } from './benches/dns-floods.ts'
import { drain } from './benches/drain.ts'
import { flood } from './benches/flood.ts'
import { guess } from './benches/guess.ts'
import { hold } from './benches/hold.ts'
import { latency } from './benches/latency.ts'
import { memory } from './benches/memory.ts'
import { path } from './benches/path.ts'
import { replay } from './benches/replay.ts'
import { restore } from './benches/restore.ts'
import { threads } from './benches/threads.ts'
import { wire } from './benches/wire.ts'
import type { Bench } from './runner/bench.ts'

/** All benches, in the order in which they run. */
export const BENCHES: readonly Bench[] = [
  wire,
  drain,
  flood,
  path,
  dns,
  latency,
  hold,
  dnsFloods,
  banned,
  ban,
  guess,
  restore,
  memory,
  threads,
  replay,
]
