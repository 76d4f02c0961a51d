const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const cleanUps = new Set<() => void>()
let insteadOfEnding: (() => void) | undefined

/** Has `cleanUp` called before a signal ends the program. @returns a way to stop that */
export function beforeEnding(cleanUp: () => void): () => void {
  cleanUps.add(cleanUp)
  listen()
  return () => {
    cleanUps.delete(cleanUp)
    listen()
  }
}

/** Has the first Ctrl-C call `action` in place of ending the program. @returns a way to stop that */
export function onFirstInterrupt(action: () => void): () => void {
  insteadOfEnding = action
  listen()
  return () => {
    insteadOfEnding = undefined
    listen()
  }
}

/** Only while there is something to do: to listen to a signal is to keep it from ending the program. */
function listen(): void {
  const isNeeded = cleanUps.size > 0 || insteadOfEnding !== undefined
  for (const signal of ENDING) {
    process.off(signal, take)
    if (isNeeded) process.on(signal, take)
  }
}

function take(signal: NodeJS.Signals): void {
  const action = signal === 'SIGINT' ? insteadOfEnding : undefined
  insteadOfEnding = undefined
  if (action !== undefined) {
    action()
    listen()
    return
  }
  for (const cleanUp of cleanUps) cleanUp()
  cleanUps.clear()
  listen()
  process.kill(process.pid, signal)
}
