import type { Pipeline } from './pipeline.ts'

/** How the descriptors of a batch's packets lie in memory: words of each, and which of them say where it is. */
export interface DescriptorWords {
  readonly stride: number
  readonly offset: number
  readonly length: number
}

/**
 * Has in the cache what `pipeline` will look at for the first `count` packets of a batch; none where that would be a waste.
 * A function of its own, so that the warm-up can teach V8 what it does: it is first needed in a flood.
 */
export function readBatchAhead(
  pipeline: Pipeline,
  bytes: Uint8Array,
  packets: Uint32Array,
  count: number,
  { stride, offset, length }: DescriptorWords,
): void {
  for (let at = 0; at < count * stride; at += stride)
    pipeline.expect(bytes, packets[at + offset]!, packets[at + length]!)
  pipeline.fetch()
}
