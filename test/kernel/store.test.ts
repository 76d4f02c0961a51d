import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/failure.ts'
import { eventually } from '../lib/eventually.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Scratch } from '../lib/scratch.ts'
import { Sluice } from '../lib/sluice.ts'
import { connections, listen } from '../lib/tcp.ts'

const FAMILIES = [4, 6] as const

let state: Scratch
let scenes: Scene[]

beforeEach(() => {
  state = new Scratch()
  scenes = []
})

afterEach(() => {
  for (const scene of scenes) scene.close()
  state.close()
})

/** A server whose kernel knows nothing: what a reboot leaves. */
async function boot(): Promise<Scene> {
  const scene = new Scene()
  scenes.push(scene)
  await listen(scene.server, 22)
  return scene
}

const policy = (directory = state.path('sluice')) => `
state: {directory: ${directory}}
services:
  ssh:
    ports: [22]
    limits: {source: {burst: 5, rate: 5/h}}
    ban: {strikes: 5, within: 1m}
ban: {first: 10m, factor: 4, jitter: 0}
`

const start = (scene: Scene, ...args: Parameters<typeof policy>) =>
  Sluice.start(scene.server, policy(...args))
const bansOf = (sluice: Sluice) => sluice.ask({ op: 'bans list' })
const attempts = (scene: Scene, family: 4 | 6, from: string, count = 1) =>
  connections(scene.client, { to: SERVER[family], port: 22, from, count, timeoutMs: 400 })

/** Both attackers are banned, and that is on the disk. */
async function banned(scene: Scene, sluice: Sluice) {
  for (const family of FAMILIES) await attempts(scene, family, ATTACKER[family], 15)
  const bans = await eventually('both attackers are banned', async () => {
    const bans = await bansOf(sluice)
    return bans.length === 2 && bans
  })
  await eventually('it is written', async () => (await sluice.metric('sluice_store_rows_written_total')) >= 4)
  return bans
}

const places = (bans: Awaited<ReturnType<typeof bansOf>>) =>
  bans
    .map(({ prefix, scope, offence, origin, reason }) => ({ prefix, scope, offence, origin, reason }))
    .sort((a, b) => a.prefix.localeCompare(b.prefix))

describe('what is remembered', () => {
  test('kill -9: bans are adopted with their history, which goes on', async () => {
    const scene = await boot()
    const sluice = await start(scene)
    const before = await banned(scene, sluice)
    sluice.signal('SIGKILL')
    await sluice.ended

    const successor = await start(scene)
    const after = await bansOf(successor)
    expect(places(after)).toEqual(places(before))
    expect(places(after).map(({ origin, offence }) => [origin, offence])).toEqual([
      ['strikes', 1],
      ['strikes', 1],
    ])
    for (const [i, { since, until }] of after.entries()) {
      expect(Math.abs(Date.parse(since) - Date.parse(before[i]!.since))).toBeLessThan(2000)
      // The kernel rounds its timeouts to seconds.
      expect(Math.abs(Date.parse(until!) - Date.parse(before[i]!.until!))).toBeLessThan(5000)
    }
    // The ban is over before its time, but the offence is not forgotten: the next one costs four times as much.
    expect(await successor.stop()).toBe(0)
    scene.server.run('ipset', 'destroy', 'sluice-ban-ssh-4')
    const third = await start(scene)
    expect(places(await bansOf(third)).map(({ prefix }) => prefix)).toEqual(['2001:db8:bad::/64'])
    await attempts(scene, 4, ATTACKER[4], 15)
    const again = await eventually('he is banned again', async () =>
      (await bansOf(third)).find(({ prefix }) => prefix === ATTACKER[4]),
    )
    expect(again).toMatchObject({ offence: 2 })
    expect(again.secondsLeft).toBeGreaterThan(35 * 60)
  })

  test('after a reboot bans are put back before anybody passes, and allowed sources too', async () => {
    const scene = await boot()
    const sluice = await start(scene)
    expect((await sluice.cli('allow', 'add', HONEST[4], '--reason', 'office')).status).toBe(EXIT.ok)
    const before = await banned(scene, sluice)
    await eventually(
      'it is written',
      async () => (await sluice.metric('sluice_store_rows_written_total')) >= 5,
    )
    await sluice.stop('SIGKILL')
    scene.close()

    const rebooted = await boot()
    const successor = await start(rebooted)
    expect(places(await bansOf(successor))).toEqual(places(before))
    for (const family of FAMILIES) expect(await attempts(rebooted, family, ATTACKER[family])).toBe(0)
    expect(await attempts(rebooted, 4, HONEST[4], 12)).toBe(12)
    const runtime = (await successor.ask({ op: 'allow list' })).filter(({ origin }) => origin === 'runtime')
    expect(runtime).toEqual([{ prefix: HONEST[4], origin: 'runtime', reason: 'office' }])
    // Taken off the list again, he stays off it.
    expect((await successor.cli('allow', 'remove', HONEST[4])).status).toBe(EXIT.ok)
    expect(await successor.stop()).toBe(0)
    const third = await start(rebooted)
    expect((await third.ask({ op: 'allow list' })).filter(({ origin }) => origin === 'runtime')).toEqual([])
  })

  test('a ban that somebody lifts in the kernel while sluice is down stays lifted', async () => {
    const scene = await boot()
    const sluice = await start(scene)
    await banned(scene, sluice)
    expect(await sluice.stop()).toBe(0)
    scene.server.run('ipset', 'del', 'sluice-ban-ssh-4', ATTACKER[4])
    const successor = await start(scene)
    expect(places(await bansOf(successor)).map(({ prefix }) => prefix)).toEqual(['2001:db8:bad::/64'])
    expect(successor.output).toContain('1 ban stay')
  })

  test('run --flush forgets the bans, and not the offences', async () => {
    const scene = await boot()
    const sluice = await Sluice.start(scene.server, policy(), { args: ['--flush'] })
    await banned(scene, sluice)
    expect(await sluice.stop()).toBe(0)
    scene.close()
    const rebooted = await boot()
    const successor = await start(rebooted)
    expect(await bansOf(successor)).toEqual([])
    const { stdout } = await successor.cli('explain', ATTACKER[4], '--json')
    expect(JSON.parse(stdout)).toMatchObject({ bans: [], offences: { count: 1 } })
  })
})

describe('a disk that does not play along', () => {
  let disk = ''

  afterEach(() => {
    if (disk !== '') execFileSync('umount', ['--lazy', disk])
    disk = ''
  })

  function mountDisk(options: string): void {
    disk = state.path('disk')
    mkdirSync(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'sluice-test', disk])
  }

  test('full: sluice bans and says that it does not remember, until there is room', async () => {
    const scene = await boot()
    mountDisk('size=1m')
    scene.server.run('sh', '-c', `head -c 2M /dev/zero > ${disk}/ballast 2>/dev/null || true`)
    const sluice = await start(scene, `${disk}/sluice`)
    await attempts(scene, 4, ATTACKER[4], 15)
    await eventually('he is banned', async () => (await bansOf(sluice)).length === 1)
    await eventually('the store has failed', async () => (await sluice.metric('sluice_store_ok')) === 0)
    expect(sluice.output).toMatch(/"event":"store-failed".*nothing is remembered for the next start.*ENOSPC/)
    expect(await sluice.http('/healthz')).toContain('nothing is remembered')
    expect((await sluice.status()).store?.problem).toContain('ENOSPC')

    rmSync(join(disk, 'ballast'))
    await eventually('the store works', async () => (await sluice.metric('sluice_store_ok')) === 1, {
      withinMs: 30_000,
    })
    expect(await sluice.http('/healthz')).toBe('ok\n')
    await eventually(
      'it is written',
      async () => (await sluice.metric('sluice_store_rows_written_total')) >= 2,
    )
    await sluice.stop('SIGKILL')
    const successor = await start(scene, `${disk}/sluice`)
    expect(await bansOf(successor)).toMatchObject([{ prefix: ATTACKER[4], origin: 'strikes', offence: 1 }])
    await successor.stop()
  })

  test('read-only, and then with a store that is damaged: honest clients get in, attackers are banned', async () => {
    const scene = await boot()
    mountDisk('ro,size=16m')
    const sluice = await start(scene, `${disk}/sluice`)
    await eventually('the store has failed', async () => (await sluice.metric('sluice_store_ok')) === 0)
    expect(sluice.output).toMatch(/"event":"store-failed".*nothing is remembered for the next start.*EROFS/)
    await attempts(scene, 4, ATTACKER[4], 15)
    await eventually('he is banned', async () => (await bansOf(sluice)).length === 1)
    for (const family of FAMILIES) expect(await attempts(scene, family, HONEST[family])).toBe(1)

    // Where sluice runs, mounts are its own (`ip netns exec`).
    const remount = ['mount', '-o', 'remount,rw', disk]
    execFileSync('nsenter', ['--mount', '--target', String(sluice.process.pid), ...remount])
    execFileSync(remount[0]!, remount.slice(1))
    await eventually('the store works', async () => (await sluice.metric('sluice_store_ok')) === 1, {
      withinMs: 30_000,
    })
    await eventually(
      'it is written',
      async () => (await sluice.metric('sluice_store_rows_written_total')) >= 2,
    )
    await sluice.stop('SIGKILL')

    writeFileSync(`${disk}/sluice/store/CURRENT`, 'this is no store')
    const successor = await start(scene, `${disk}/sluice`)
    expect(successor.output).toMatch(/"event":"store-set-aside"/)
    expect(await bansOf(successor)).toMatchObject([{ prefix: ATTACKER[4], origin: 'adopted' }])
    expect(await attempts(scene, 4, ATTACKER[4])).toBe(0)
    for (const family of FAMILIES) expect(await attempts(scene, family, HONEST[family])).toBe(1)
    expect(await successor.metric('sluice_store_ok')).toBe(1)
    expect(readdirSync(`${disk}/sluice`).some((name) => name.startsWith('store.broken-'))).toBe(true)
    await successor.stop()
  })

  /** A file system that its kernel makes read-only when it meets an error, whoever is writing to it. */
  function mountImage(): { image: string; trigger: string } {
    const image = state.path('image')
    disk = state.path('disk')
    mkdirSync(disk)
    writeFileSync(image, Buffer.alloc(16 * 2 ** 20))
    execFileSync('mkfs.ext4', ['-q', '-F', image])
    execFileSync('mount', ['-o', 'loop,errors=remount-ro', image, disk])
    const device = execFileSync('findmnt', ['-no', 'SOURCE', disk], { encoding: 'utf8' }).trim()
    return { image, trigger: `/sys/fs/ext4/${basename(device)}/trigger_fs_error` }
  }

  /** After the disk has failed: what must be so until it works again. */
  async function goesOnWithout(scene: Scene, sluice: Sluice, says: RegExp): Promise<void> {
    await attempts(scene, 6, ATTACKER[6], 15)
    // What is written fits into no block that the file system has given already.
    for (let i = 1; i <= 40; i++) {
      await sluice.ask({ op: 'bans add', prefix: `100.64.0.${i}`, reason: 'x'.repeat(200) })
    }
    await eventually('the other one is banned too', async () => (await bansOf(sluice)).length === 42)
    await eventually('the store has failed', async () => (await sluice.metric('sluice_store_ok')) === 0)
    expect((await sluice.status()).store?.problem).toMatch(says)
    expect(await sluice.http('/healthz')).toContain('nothing is remembered')
    for (const family of FAMILIES) {
      expect(await attempts(scene, family, ATTACKER[family])).toBe(0)
      expect(await attempts(scene, family, HONEST[family])).toBe(1)
    }
  }

  /** A ban is given and on the disk. */
  async function bannedOnDisk(scene: Scene, sluice: Sluice): Promise<void> {
    await attempts(scene, 4, ATTACKER[4], 15)
    await eventually('he is banned', async () => (await bansOf(sluice)).length === 1)
    await eventually(
      'it is written',
      async () => (await sluice.metric('sluice_store_rows_written_total')) >= 2,
    )
    expect(await sluice.metric('sluice_store_ok')).toBe(1)
  }

  test('that fills up while sluice runs: bans hold and are given, and are written when there is room', async () => {
    const scene = await boot()
    mountDisk('size=4m')
    const sluice = await start(scene, `${disk}/sluice`)
    await bannedOnDisk(scene, sluice)
    expect(() => writeFileSync(join(disk, 'ballast'), Buffer.alloc(8 * 2 ** 20))).toThrow('ENOSPC')
    await goesOnWithout(scene, sluice, /ENOSPC|No space left/)
    rmSync(join(disk, 'ballast'))
    await eventually('the store works', async () => (await sluice.metric('sluice_store_ok')) === 1, {
      withinMs: 30_000,
    })
    expect(await sluice.http('/healthz')).toBe('ok\n')
    await sluice.stop('SIGKILL')
    scene.close()
    const rebooted = await boot()
    const successor = await start(rebooted, `${disk}/sluice`)
    expect(await bansOf(successor)).toHaveLength(42)
    for (const family of FAMILIES) expect(await attempts(rebooted, family, ATTACKER[family])).toBe(0)
    await successor.stop()
  })

  test('that turns read-only while sluice runs: bans hold and are given, and what was written is there later', async () => {
    const scene = await boot()
    const { image, trigger } = mountImage()
    const sluice = await start(scene, `${disk}/sluice`)
    await bannedOnDisk(scene, sluice)
    writeFileSync(trigger, '1')
    await goesOnWithout(scene, sluice, /EROFS|Read-only/)
    await sluice.stop('SIGKILL')
    // The kernel lets nobody write to it until it is mounted anew, which it is not while another process of the machine
    // has seen the mount and holds it. So it is what is on the disk that is mounted.
    execFileSync('umount', [disk])
    const anew = state.path('anew')
    copyFileSync(image, anew)
    execFileSync('mount', ['-o', 'loop', anew, disk])
    const successor = await start(scene, `${disk}/sluice`)
    const bans = await bansOf(successor)
    expect(bans).toHaveLength(42)
    const originOf = (address: string) => bans.find(({ prefix }) => prefix.startsWith(address))?.origin
    expect([originOf(ATTACKER[4]), originOf('2001:db8:bad:')]).toEqual(['strikes', 'adopted'])
    await successor.stop()
  })

  test('nothing is remembered with state: off', async () => {
    const scene = await boot()
    const sluice = await Sluice.start(scene.server, policy().replace(/^state:.*$/m, 'state: off'))
    expect((await sluice.status()).store).toBeNull()
    expect((await sluice.cli('status')).stdout).toMatch(/^store +off/m)
    await sluice.stop()
  })
})
