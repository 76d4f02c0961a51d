import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/failure.ts'
import { Lab } from '../lib/lab.ts'
import { Scratch } from '../lib/scratch.ts'
import { PROGRAM, Sluice, type SluiceOptions } from '../lib/sluice.ts'
import { traces } from './firewall-host.ts'

const SERVICES = 'services:\n  ssh: {ports: [22], limits: {source: {burst: 3, rate: 1/min}}}\n'
const OTHER_QUEUE = 'queue: {first: 100}\n'

/** A copy of the program without its addon. */
function copyProgram(): Scratch {
  const scratch = new Scratch()
  const dist = dirname(PROGRAM)
  cpSync(dist, scratch.path('dist'), { recursive: true })
  cpSync(join(dist, '../package.json'), scratch.path('package.json'))
  symlinkSync(join(dist, '../node_modules'), scratch.path('node_modules'))
  return scratch
}

describe('a start that cannot succeed says what is missing, and leaves nothing behind:', () => {
  let lab: Lab
  let withoutAddon: Scratch
  let withBadAddon: Scratch

  beforeAll(() => {
    withoutAddon = copyProgram()
    withBadAddon = copyProgram()
    mkdirSync(withBadAddon.path('build/Release'), { recursive: true })
    writeFileSync(withBadAddon.path('build/Release/nfqueue.node'), 'not for this Node')
  })

  beforeEach(() => {
    lab = Lab.create(['server'])
  })

  afterEach(() => lab.close())

  afterAll(() => {
    withoutAddon.close()
    withBadAddon.close()
  })

  async function refusal(policy: string, options: () => SluiceOptions = () => ({})) {
    const server = lab.host('server')
    const before = traces(server)
    const sluice = new Sluice(server, policy, options())
    const status = await sluice.ended
    expect(traces(server)).toBe(before)
    return { status, output: sluice.output }
  }

  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
  // So that a program in root's home can be read at all.
  const reader = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search']
  const powerless = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']

  test.each<{
    what: string
    policy?: string
    options?: () => SluiceOptions
    status: number
    says: RegExp
  }>([
    {
      what: 'not root',
      options: () => ({ launcher: [...nobody, ...reader] }),
      status: EXIT.noPermission,
      says: /CAP_NET_ADMIN is missing \(running as user 65534\)\n.*run it as root/,
    },
    {
      what: 'root without CAP_NET_ADMIN',
      options: () => ({ launcher: powerless }),
      status: EXIT.noPermission,
      says: /CAP_NET_ADMIN is missing \(running as root without it\)\n.*--cap-add NET_ADMIN/,
    },
    {
      what: 'a broken policy',
      policy: 'services:\n  ssh: {port: [22]}\n',
      status: EXIT.config,
      says: /sluice\.yaml:2:9: .*did you mean "ports"/,
    },
    {
      what: 'no policy',
      options: () => ({ args: ['--config', '/nonexistent/sluice.yaml'] }),
      status: EXIT.noInput,
      says: /cannot read the policy \/nonexistent\/sluice\.yaml: there is no such file/,
    },
    {
      what: 'the addon is not built',
      options: () => ({ program: withoutAddon.path('dist/main.js') }),
      status: EXIT.unavailable,
      says: /cannot load the addon .*: it is not built\n.*npm run build/,
    },
    {
      what: 'the addon is not for this Node',
      options: () => ({ program: withBadAddon.path('dist/main.js') }),
      status: EXIT.unavailable,
      says: /cannot load the addon .* into Node [\d.]+: .*\n.*npm run build/,
    },
  ])('$what', async ({ policy = SERVICES, options, status, says }) => {
    const seen = await refusal(policy, options)
    expect(seen.output).toMatch(says)
    expect(seen.status).toBe(status)
  })

  test.each([
    {
      what: 'the queue number is taken',
      policy: `${SERVICES}metrics: off\n`,
      says: /queue 9713 is taken: process (\d+) \((node|MainThread)\) listens on it\n.*queue\.first/,
    },
    {
      what: "the queue of the host's own queries is taken",
      policy: `${SERVICES}metrics: off\nqueue:\n  first: 9712\n`,
      says: /queue 9713 is taken: process (\d+) \((node|MainThread)\) listens on it\n.*queue\.first/,
    },
    {
      what: 'the metrics port is taken',
      policy: SERVICES + OTHER_QUEUE,
      says: /cannot serve metrics on http:\/\/127\.0\.0\.1:9713: the port is taken\n.*metrics\.port/,
    },
  ])('$what, and the one that runs is undisturbed', async ({ policy, says }) => {
    const first = await Sluice.start(lab.host('server'), SERVICES)
    const seen = await refusal(policy)
    expect(seen.output).toMatch(says)
    expect(seen.status).toBe(EXIT.inUse)
    expect((await first.status()).threads.live).toBe(1)
    expect(await first.stop()).toBe(0)
  })

  test('the control socket is taken, and the one that runs is undisturbed', async () => {
    const first = await Sluice.start(lab.host('server'), SERVICES)
    const seen = await refusal(`${SERVICES}metrics: off\n${OTHER_QUEUE}control:\n  socket: ${first.socket}\n`)
    expect(seen.output).toMatch(/another sluice is running: it answers on .*control\.sock/)
    expect(seen.status).toBe(EXIT.inUse)
    expect((await first.status()).threads.live).toBe(1)
    expect(await first.stop()).toBe(0)
  })
})
