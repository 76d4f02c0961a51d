import { afterEach, describe, expect, test, vi } from 'vitest'
import { Lifetime, StopRequested } from '../../src/control/lifetime.ts'
import { Repeater } from '../../src/control/repeater.ts'
import { Serial } from '../../src/control/serial.ts'
import { RestartLimit } from '../../src/control/threads/restart-limit.ts'
import { UndoStack } from '../../src/control/undo-stack.ts'
import { EXIT } from '../../src/failure.ts'

afterEach(() => {
  vi.useRealTimers()
})

describe('undoing a start', () => {
  test('goes backwards, and one failure keeps nothing else from being undone', async () => {
    const undone: string[] = []
    const undo = new UndoStack()
    undo.push('close the socket', () => void undone.push('socket'))
    undo.push('stop the threads', async () => {
      throw new Error('stuck')
    })
    undo.push('remove the chains', async () => void undone.push('chains'))
    expect(await undo.unwind()).toEqual(['could not stop the threads: stuck'])
    expect(undone).toEqual(['chains', 'socket'])
    expect(await undo.unwind()).toEqual([])
  })
})

describe('the lifetime of the daemon', () => {
  const lifetimes: Lifetime[] = []
  function live() {
    const lifetime = new Lifetime()
    lifetimes.push(lifetime)
    return lifetime
  }
  afterEach(() => {
    for (const lifetime of lifetimes.splice(0)) lifetime.close()
  })

  test.each(['SIGINT', 'SIGTERM'] as const)(
    'ends with %s, and a second one changes nothing',
    async (signal) => {
      const lifetime = live()
      lifetime.check()
      process.emit(signal, signal)
      process.emit(signal, signal)
      await lifetime.ended
      expect(() => lifetime.check()).toThrow(StopRequested)
    },
  )

  test('ends with a failure, which is not covered up by the signal after it', async () => {
    const lifetime = live()
    lifetime.fail(new Error('thread died'))
    process.emit('SIGTERM', 'SIGTERM')
    await expect(lifetime.ended).rejects.toThrow('thread died')
    expect(() => lifetime.check()).toThrow('thread died')
  })

  test('a hangup ends nothing', () => {
    const lifetime = live()
    let hangups = 0
    lifetime.onHangup = () => hangups++
    process.emit('SIGHUP', 'SIGHUP')
    lifetime.check()
    expect(hangups).toBe(1)
  })

  test('gives the signals back at its end', () => {
    const before = process.listenerCount('SIGINT')
    const lifetime = new Lifetime()
    expect(process.listenerCount('SIGINT')).toBe(before + 1)
    lifetime.close()
    expect(process.listenerCount('SIGINT')).toBe(before)
  })
})

describe('repeating', () => {
  test('a run starts only when the one before is done, and a stop waits for it', async () => {
    vi.useFakeTimers()
    let running = 0
    let most = 0
    let runs = 0
    const repeater = new Repeater(
      async () => {
        runs++
        most = Math.max(most, ++running)
        await new Promise((resolve) => setTimeout(resolve, 5000))
        running--
      },
      () => 1000,
    )
    await vi.advanceTimersByTimeAsync(20_000)
    expect([runs, most]).toEqual([4, 1])
    const stopped = repeater.stop()
    await vi.advanceTimersByTimeAsync(20_000)
    await stopped
    expect([runs, running]).toEqual([4, 0])
  })
})

describe('one after the other', () => {
  test('tasks do not overlap, and a failed one does not block the next', async () => {
    const serial = new Serial()
    const order: string[] = []
    const first = serial.run(async () => {
      await new Promise((resolve) => setImmediate(resolve))
      order.push('first')
      throw new Error('no')
    })
    const second = serial.run(() => order.push('second'))
    await expect(first).rejects.toThrow('no')
    await second
    expect(order).toEqual(['first', 'second'])
  })

  test('after the end nothing begins', async () => {
    const serial = new Serial()
    let ran = 0
    const running = serial.run(async () => {
      await new Promise((resolve) => setImmediate(resolve))
      ran++
    })
    const late = serial.run(() => ran++)
    const isLate = expect(late).rejects.toMatchObject({ status: EXIT.unavailable })
    await Promise.resolve()
    const closed = serial.close()
    await expect(serial.run(() => ran++)).rejects.toMatchObject({ status: EXIT.unavailable })
    await Promise.all([running, closed, isLate])
    expect(ran).toBe(1)
  })
})

test('so many restarts in a window, and again when it has passed', () => {
  let nowMs = 0
  const limit = new RestartLimit(2, 1000, () => nowMs)
  expect([limit.take(), limit.take(), limit.take()]).toEqual([true, true, false])
  nowMs = 999
  expect(limit.take()).toBe(false)
  nowMs = 1000
  expect(limit.take()).toBe(true)
})
