type Step = () => void | Promise<void>

/** What has to be undone, in the opposite order, whatever the reason: a clean stop, a failure, a crash. */
export class UndoStack {
  readonly #steps: { readonly what: string; readonly step: Step }[] = []

  /** `what` completes the sentence "could not ...". */
  push(what: string, step: Step): void {
    this.#steps.push({ what, step })
  }

  /** Undoes everything. Returns what went wrong; a step that fails keeps no other from being undone. */
  async unwind(): Promise<string[]> {
    const problems: string[] = []
    for (let last = this.#steps.pop(); last !== undefined; last = this.#steps.pop()) {
      try {
        await last.step()
      } catch (error) {
        problems.push(`could not ${last.what}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    return problems
  }
}
