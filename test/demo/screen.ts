import { styleText } from 'node:util'

const STYLES = {
  attacker: 'red',
  honest: 'green',
  sluice: 'cyan',
  kernel: 'yellow',
  heading: 'dim',
} as const

type Style = Parameters<typeof styleText>[0]
export type Actor = keyof typeof STYLES

export interface Row {
  readonly actor: Actor
  readonly text: string
}

/**
 * What the demo writes: events that scroll, and on a terminal a table below them that is written anew all
 * the time. Elsewhere it is plain text, and the table comes once, at the end.
 */
export class Screen {
  readonly #isTerminal = process.stdout.isTTY === true
  readonly #startMs = performance.now()
  #table: readonly Row[] = []

  /** One event, with the time since the start and in the colour of who did it. */
  event(actor: Actor, text: string, style: Style = STYLES[actor]): void {
    const seconds = ((performance.now() - this.#startMs) / 1000).toFixed(1)
    this.print(`${seconds.padStart(6)} s  ${this.#styled(style, `${actor.padEnd(10)}${text}`)}`)
  }

  /** Text above the table. */
  print(text: string): void {
    this.#erase()
    process.stdout.write(`${text}\n`)
    this.#draw()
  }

  /** Replaces the table. */
  show(table: readonly Row[]): void {
    this.#erase()
    this.#table = table
    this.#draw()
  }

  /** The table becomes ordinary text. */
  close(): void {
    if (!this.#isTerminal) this.#write()
    this.#table = []
  }

  /** Up to the first line of the table, and all is cleared from there. */
  #erase(): void {
    if (!this.#isTerminal || this.#table.length === 0) return
    process.stdout.write(`\x1b[${this.#table.length + 1}A\x1b[J`)
  }

  #draw(): void {
    if (this.#isTerminal) this.#write()
  }

  #write(): void {
    if (this.#table.length === 0) return
    // A line that wraps would count as two. A terminal that does not know its width says 0.
    const width = (process.stdout.columns || 100) - 1
    const lines = this.#table.map(({ actor, text }) => this.#styled(STYLES[actor], text.slice(0, width)))
    process.stdout.write(`\n${lines.join('\n')}\n`)
  }

  #styled(style: Style, text: string): string {
    return this.#isTerminal ? styleText(style, text) : text
  }
}
