import { createServer, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { parsePolicy } from '../../src/config/load.ts'
import type { LoginModel } from '../../src/config/policy.ts'
import type { TcpListener } from '../../src/control/dns/tcp-listeners.ts'
import { askSshServer } from '../../src/control/evidence/ask-ssh-server.ts'
import { moveBounds } from '../../src/control/evidence/moved-bounds.ts'
import { readSshOpening, type SshOpening } from '../../src/control/evidence/ssh-opening.ts'
import { SshServers } from '../../src/control/evidence/ssh-servers.ts'
import { TestLog } from '../lib/test-log.ts'
import { seeded } from '../record/random.ts'

const GREETING = 'SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n'
const ONE_KEY: SshOpening = { software: 'OpenSSH_9.2p1', bytes: 1129, hostKeyAlgorithms: ['ssh-ed25519'] }
const DEBIAN: SshOpening = {
  ...ONE_KEY,
  bytes: 1177,
  hostKeyAlgorithms: ['rsa-sha2-512', 'rsa-sha2-256', 'ecdsa-sha2-nistp256', 'ssh-ed25519'],
}
const HARDENED: SshOpening = { ...ONE_KEY, bytes: 489 }
const DROPBEAR: SshOpening = { ...ONE_KEY, software: 'dropbear_2022.83', bytes: 538 }

function nameList(text: string): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([length, Buffer.from(text)])
}

/** A KEXINIT packet as RFC 4253 has it, with these host keys. */
function kexInit(keys: string, padding = 6): Buffer {
  const lists = ['curve25519-sha256', keys, ...Array(8).fill('none')].map(nameList)
  const payload = Buffer.concat([Buffer.from([20]), Buffer.alloc(16, 7), ...lists, Buffer.alloc(5)])
  const head = Buffer.alloc(5)
  head.writeUInt32BE(1 + payload.length + padding)
  head[4] = padding
  return Buffer.concat([head, payload, Buffer.alloc(padding)])
}

const opening = (keys = 'rsa-sha2-256,ssh-ed25519') => Buffer.concat([Buffer.from(GREETING), kexInit(keys)])

describe('how an SSH server begins', () => {
  test('is read', () => {
    const bytes = opening()
    expect(readSshOpening(bytes)).toEqual({
      software: 'OpenSSH_9.2p1',
      bytes: bytes.length,
      hostKeyAlgorithms: ['rsa-sha2-256', 'ssh-ed25519'],
    })
    expect(readSshOpening(Buffer.concat([bytes, Buffer.from('more')]))).toMatchObject({ bytes: bytes.length })
  })

  test('takes its time', () => {
    const bytes = opening()
    for (let i = 0; i < bytes.length; i++) expect(readSshOpening(bytes.subarray(0, i)), `${i}`).toBe('more')
  })

  test.each<[string, Buffer]>([
    ['another protocol', Buffer.from('220 mail.example.test ESMTP\r\n')],
    ['SSH 1', Buffer.from('SSH-1.5-OpenSSH_3.0\r\n')],
    ['no end of the line', Buffer.alloc(255, 'a')],
    ['control characters', Buffer.from('SSH-2.0-Open\u001bSSH_9.2\r\n')],
    ['another packet first', Buffer.concat([Buffer.from(GREETING), Buffer.from([0, 0, 0, 12, 4, 2, 0, 0])])],
    ['a packet of 4 GB', Buffer.concat([Buffer.from(GREETING), Buffer.from([255, 255, 255, 255, 4, 20])])],
    [
      'a list that is longer than the packet',
      opening().fill(255, GREETING.length + 22, GREETING.length + 26),
    ],
  ])('is not %s', (_, bytes) => {
    expect(readSshOpening(bytes)).toBe('foreign')
  })

  test('names that would spoil a log are left out', () => {
    const read = readSshOpening(opening(`ssh-ed25519,a\nb,${'x'.repeat(65)},ssh-\u00ff`))
    expect(read).toMatchObject({ hostKeyAlgorithms: ['ssh-ed25519'] })
  })

  test('whatever comes, an answer does', () => {
    const random = seeded(7)
    for (let i = 0; i < 5000; i++) {
      const bytes = opening()
      for (let changes = 0; changes < 3; changes++)
        bytes[Math.floor(random() * bytes.length)] = random() * 256
      const read = readSshOpening(bytes)
      if (typeof read === 'object') expect(read.bytes).toBeLessThanOrEqual(8192)
    }
  })
})

describe('a server is asked', () => {
  async function serve(talk: (socket: Socket) => void) {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      talk(socket)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    try {
      return { answer: await askSshServer('127.0.0.1', port), port }
    } finally {
      server.close()
    }
  }

  test('and told why', async () => {
    let heard = Buffer.alloc(0)
    const { answer } = await serve((socket) => {
      socket.on('data', (chunk) => {
        heard = Buffer.concat([heard, chunk])
      })
      // In two parts, as networks may.
      socket.write(opening().subarray(0, 50))
      setTimeout(() => socket.write(opening().subarray(50)), 20)
    })
    expect(answer).toMatchObject({ software: 'OpenSSH_9.2p1' })
    await new Promise((resolve) => setTimeout(resolve, 100))
    const packet = heard.subarray(heard.indexOf('\r\n') + 2)
    expect(heard.toString('latin1')).toMatch(/^SSH-2\.0-sluice\r\n/)
    expect(packet.toString('latin1')).toContain('sluice reads which host keys this server has')
    // A block is eight bytes, and there are four bytes of padding at least.
    expect([packet.length % 8, packet.readUInt32BE(0) + 4]).toEqual([0, packet.length])
    expect(packet[4]).toBeGreaterThanOrEqual(4)
  })

  test('in vain where another protocol is spoken, or nothing for long, or nobody listens', async () => {
    expect((await serve((socket) => socket.write('220 mail\r\n'))).answer).toBeUndefined()
    const { answer, port } = await serve((socket) => socket.write(Buffer.alloc(100_000)))
    expect(answer).toBeUndefined()
    expect(await askSshServer('127.0.0.1', port)).toBeUndefined()
  })
})

const SERVICE = '{ports: [22], limits: {source: {burst: 1, rate: 1/s}}, outcome: ssh}'
const model = (more = '') =>
  parsePolicy(`services: {ssh: ${SERVICE}}\n${more}`, 'p').services[0]!.outcome as LoginModel

describe('the bounds', () => {
  test.each<[string, SshOpening, number, number, number, number]>([
    ['stand for a server as it was measured', ONE_KEY, 1360, 1880, 2880, 6000],
    ['are higher with more host keys', DEBIAN, 1408, 2319, 2928, 6048],
    ['are lower where less is said', HARDENED, 720, 1240, 2240, 6000],
    [
      'do not count keys that are not known',
      { ...ONE_KEY, hostKeyAlgorithms: ['ssh-x'] },
      1360,
      1825,
      2880,
      6000,
    ],
  ])('%s', (_, server, least, failed, largeFailed, succeeded) => {
    const moved = moveBounds(model(), server)!
    const { leastBytes, failedBytes, largeFailedBytes, succeededBytes } = moved
    expect([leastBytes, failedBytes, largeFailedBytes, succeededBytes]).toEqual([
      least,
      failed,
      largeFailed,
      succeeded,
    ])
  })

  test.each(['dropbear_2022.83', 'OpenSSH_6.7p1', 'OpenSSH_for_Windows', 'Go', 'OpenSSH_5.10'])(
    'are not known for %s',
    (software) => expect(moveBounds(model(), { ...ONE_KEY, software })).toBeUndefined(),
  )

  test('of success stay above those of failure', () => {
    const moved = moveBounds(model('outcomes: {ssh: {failed: 5990}}\n'), DEBIAN)!
    expect(moved.failedBytes).toBeLessThan(moved.succeededBytes)
  })
})

describe('the servers of this host', () => {
  function setUp(text = `services: {ssh: ${SERVICE}}\n`) {
    const clock = { nowMs: 0 }
    const { log, lines } = new TestLog()
    const host = {
      policy: parsePolicy(text, 'p'),
      listeners: [] as TcpListener[],
      answers: new Map<number, SshOpening>(),
      asked: 0,
    }
    const servers = new SshServers({
      policy: () => host.policy,
      log,
      now: () => clock.nowMs,
      listeners: () => host.listeners,
      ask: async (_, port) => {
        host.asked++
        return host.answers.get(port)
      },
    })
    const listen = (port: number, answer: SshOpening | undefined, inode = 1) => {
      host.listeners.push({ address: '127.0.0.1', port, isLoopback: false, inode })
      if (answer !== undefined) host.answers.set(port, answer)
    }
    const failedUpTo = () => {
      const { model: found } = servers.judgingOf(host.policy.services[0]!)
      return (found as LoginModel | undefined)?.failedBytes
    }
    return { host, servers, clock, lines, listen, failedUpTo }
  }

  test('move the bounds, and the log says why', async () => {
    const { servers, listen, failedUpTo, lines } = setUp()
    expect([failedUpTo(), servers.isWaiting]).toEqual([0, true])
    listen(22, DEBIAN)
    listen(2222, HARDENED)
    await servers.refresh()
    expect([failedUpTo(), servers.isWaiting]).toEqual([2319, false])
    expect(lines).toEqual([
      'info outcome-bounds: sessions of ssh are judged for OpenSSH_9.2p1 as it is here: it begins with 1177 bytes, ' +
        'and has host keys for rsa-sha2-512, rsa-sha2-256, ecdsa-sha2-nistp256, ssh-ed25519',
    ])
  })

  test('are asked once, and again when one was started again, after an hour, or with a new policy', async () => {
    const { host, servers, listen, clock, failedUpTo } = setUp()
    listen(22, DEBIAN)
    await Promise.all([servers.refresh(), servers.refresh()])
    await servers.refresh()
    expect(host.asked).toBe(1)
    host.listeners = []
    listen(22, HARDENED, 2)
    await servers.refresh()
    expect([host.asked, failedUpTo()]).toEqual([2, 1240])
    clock.nowMs += 3600_000
    await servers.refresh()
    expect(host.asked).toBe(3)
    host.policy = parsePolicy(`services: {ssh: ${SERVICE}}\noutcomes: {ssh: {failed: 2000}}\n`, 'p')
    expect(failedUpTo()).toBe(0)
    await servers.refresh()
    expect([host.asked, failedUpTo()]).toEqual([4, 1360])
  })

  test('that do not answer have no session called failed, unless they have answered before', async () => {
    const { host, servers, listen, clock, failedUpTo, lines } = setUp()
    listen(22, undefined)
    await servers.refresh()
    expect(failedUpTo()).toBe(0)
    expect(lines[0]).toContain('no SSH server of this host has answered')
    clock.nowMs += 300_000
    host.answers.set(22, HARDENED)
    await servers.refresh()
    expect(failedUpTo()).toBe(1240)
    clock.nowMs += 3600_000
    host.answers.clear()
    await servers.refresh()
    expect(failedUpTo()).toBe(1240)
  })

  test('are judged as the most careful one of them', async () => {
    const { host, servers, listen, failedUpTo } = setUp(
      `services: {ssh: ${SERVICE.replace('[22]', '[22, 2222]')}}\n`,
    )
    listen(22, DEBIAN)
    listen(2222, HARDENED)
    await servers.refresh()
    expect(failedUpTo()).toBe(1240)
    listen(2222, undefined, 2)
    host.answers.delete(2222)
    await servers.refresh()
    expect(failedUpTo()).toBe(0)
  })

  test('that are no OpenSSH are not judged at all, with a warning', async () => {
    const { servers, listen, lines, failedUpTo } = setUp()
    listen(22, DROPBEAR)
    await servers.refresh()
    expect(failedUpTo()).toBeUndefined()
    expect(lines).toEqual([
      'warn outcome-bounds: sessions of ssh are judged not at all: ' +
        'the server is dropbear_2022.83, for which no model was measured',
    ])
  })

  test('are left alone where the policy says so', async () => {
    const { host, servers, listen, failedUpTo } = setUp(
      `services: {ssh: ${SERVICE}}\noutcomes: {ssh: {askServer: false}}\n`,
    )
    listen(22, HARDENED)
    await servers.refresh()
    expect([host.asked, failedUpTo(), servers.isWaiting]).toEqual([0, 1880, false])
  })
})
