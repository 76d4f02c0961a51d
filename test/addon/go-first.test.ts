import { release } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { addonBuilds, runProgram } from '../lib/addon-builds.ts'
import { type Host, Lab } from '../lib/lab.ts'

let lab: Lab
let host: Host

beforeAll(() => {
  lab = Lab.create(['one'])
  host = lab.host('one')
})

afterAll(() => lab?.close())

const [major = 0, minor = 0] = release().split('.').map(Number)
/** Older kernels have no turns of one's own, and say 0. */
const TURN = major > 6 || (major === 6 && minor >= 12) ? 100_000 : 0

describe.each(addonBuilds())('a thread that goes first, by $name', (build) => {
  test.each([
    { who: 'may set it', wrapper: [], nice: -10 },
    { who: 'may not', wrapper: ['setpriv', '--bounding-set=-sys_nice'], nice: 0 },
    { who: 'is even more urgent', wrapper: ['nice', '-n', '-15'], nice: -15 },
  ])('has nice $nice and short turns where it $who', async ({ wrapper, nice }) => {
    expect(await runProgram(host, build, ['go-first'], { wrapper })).toEqual({ nice, turn: TURN })
  })
})
