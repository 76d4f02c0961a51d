/** A function that runs `task` once, `ms` after the first of any number of calls. */
export function coalesce(ms: number, task: () => void): () => void {
  let isWaiting = false
  const run = () => {
    isWaiting = false
    task()
  }
  return () => {
    if (isWaiting) return
    isWaiting = true
    setTimeout(run, ms).unref()
  }
}
