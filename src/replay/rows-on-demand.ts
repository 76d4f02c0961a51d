/** A list of rows: an array, or one whose rows are made when they are asked for. */
export interface Rows<Row> extends Iterable<Row> {
  readonly length: number
  slice(from: number, to: number): Row[]
}

/**
 * Rows of which only what they are made from is held: a flood has hundreds of thousands of sources, of which a table
 * shows twenty, and JSON each for a moment.
 */
export class RowsOnDemand<Item, Row> implements Rows<Row> {
  readonly #items: readonly Item[]
  readonly #make: (item: Item) => Row

  constructor(items: readonly Item[], make: (item: Item) => Row) {
    this.#items = items
    this.#make = make
  }

  get length(): number {
    return this.#items.length
  }

  slice(from: number, to: number): Row[] {
    return this.#items.slice(from, to).map(this.#make)
  }

  /** Those that `isWanted`, in the same order. */
  filter(isWanted: (row: Row) => boolean): RowsOnDemand<Item, Row> {
    return new RowsOnDemand(
      this.#items.filter((item) => isWanted(this.#make(item))),
      this.#make,
    )
  }

  *[Symbol.iterator](): Generator<Row> {
    for (const item of this.#items) yield this.#make(item)
  }
}

/**
 * Puts numbers in the order of their ranks, the lowest first, and where these are equal in that of their texts, by code
 * unit. Of texts, only those of one rank are held at a time.
 */
export class Ranking {
  readonly #numbers: number[] = []
  readonly #ranks: number[] = []

  add(number: number, rank: number): void {
    this.#numbers.push(number)
    this.#ranks.push(rank)
  }

  order(textOf: (number: number) => string): number[] {
    const [numbers, ranks] = [this.#numbers, this.#ranks]
    const places = numbers.map((_, place) => place).sort((a, b) => ranks[a]! - ranks[b]!)
    const ordered = places.map((place) => numbers[place]!)
    for (let from = 0, to = 0; from < places.length; from = to) {
      while (to < places.length && ranks[places[to]!] === ranks[places[from]!]) to++
      if (to - from > 1) sortByText(ordered, from, to, textOf)
    }
    return ordered
  }
}

function sortByText(numbers: number[], from: number, to: number, textOf: (number: number) => string): void {
  const named = numbers.slice(from, to).map((number) => ({ number, text: textOf(number) }))
  named.sort((a, b) => compareText(a.text, b.text))
  for (const [i, { number }] of named.entries()) numbers[from + i] = number
}

/** By code unit: the same order on every machine. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
