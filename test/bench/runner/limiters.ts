import { writeFileSync } from 'node:fs'
import { PROGRAM, Sluice } from '../../lib/sluice.ts'
import { type Arena, FLOOD_NETWORKS } from './arena.ts'
import { peer } from './peers.ts'
import { type BenchPolicy, policyText } from './policy.ts'
import type { Stage } from './stage.ts'
import { Talker } from './talker.ts'

/** Something that stands between the wire of an arena and its port 22. */
export interface Limiter {
  readonly name: string
  readonly arena: Arena
  /** The process that answers the queue; `undefined`: the kernel does it all. */
  readonly pid: number | undefined
  readonly sluice?: Sluice
}

/** The daemon under `policy`. @param prepare what happens to its arena before it starts. */
export async function sluiceLimiter(
  stage: Stage,
  policy: BenchPolicy,
  prepare: (arena: Arena) => void = () => {},
): Promise<Limiter> {
  const arena = stage.arena()
  prepare(arena)
  const sluice = await Sluice.start(arena.server, policyText(policy))
  stage.onEnd(() => sluice.stop())
  return { name: 'sluice', arena, pid: sluice.process.pid!, sluice }
}

/** The C loop, which accepts everything, behind the very rules that sluice has under `policy`. */
export async function loopLimiter(
  stage: Stage,
  policy: BenchPolicy,
  size: 'batch' | 'single',
): Promise<Limiter> {
  const arena = stage.arena()
  rulesOf(stage, arena, policy)
  const length = `${policy.queueLength ?? 8192}`
  const args = ['9713', length, size, 'accept', 'free']
  const talker = await Talker.start(arena.server, stage.compiled('loop', '-lmnl'), args)
  stage.onEnd(() => talker.close())
  return { name: size === 'batch' ? 'C, batches' : 'C, one by one', arena, pid: talker.pid }
}

/** The npm package behind sluice's rules; none, with a note, where it cannot be built. */
export async function nfqueueLimiter(stage: Stage, policy: BenchPolicy): Promise<Limiter[]> {
  const found = peer('nfqueue')
  if ('missing' in found) {
    stage.note(found.missing)
    return []
  }
  const arena = stage.arena()
  rulesOf(stage, arena, policy)
  const args = [stage.script('loop-nfqueue.mjs'), '9713', found.directory]
  const talker = await Talker.start(arena.server, process.execPath, args)
  stage.onEnd(() => talker.close())
  return [{ name: 'nfqueue (npm)', arena, pid: talker.pid }]
}

/** The kernel's own limiter: 20 attempts a minute for each source, where administrators put it. */
export function hashlimitLimiter(stage: Stage): Limiter {
  const arena = stage.arena()
  arena.rule(`-I INPUT -p tcp --dport 22 -m conntrack --ctstate NEW ${HASHLIMIT} -j DROP`)
  return { name: 'xt_hashlimit', arena, pid: undefined }
}

/** The same, where it costs least: before conntrack. */
export function rawHashlimitLimiter(stage: Stage): Limiter {
  const arena = stage.arena()
  arena.rule(`-t raw -A PREROUTING -p tcp --dport 22 ${HASHLIMIT} -j DROP`)
  return { name: 'xt_hashlimit in raw', arena, pid: undefined }
}

const HASHLIMIT =
  '-m hashlimit --hashlimit-above 20/min --hashlimit-burst 20 --hashlimit-mode srcip --hashlimit-name bench' +
  ' --hashlimit-htable-size 1048576 --hashlimit-htable-max 1048576'

/** Nobody in between: conntrack, which every limiter above needs, and the rule that ends the flood. */
export function noLimiter(stage: Stage): Limiter {
  const arena = stage.arena()
  arena.rule(`-I INPUT -s ${FLOOD_NETWORKS[4]} -p tcp -m conntrack --ctstate NEW -j DROP`)
  return { name: 'no limiter', arena, pid: undefined }
}

function rulesOf(stage: Stage, arena: Arena, policy: BenchPolicy): void {
  const file = stage.path('rules.yaml')
  writeFileSync(file, policyText(policy))
  arena.server.run(process.execPath, PROGRAM, 'firewall', 'up', '--config', file)
}
