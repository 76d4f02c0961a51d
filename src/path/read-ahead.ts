/** A batch's packets, and of each the source and its like. More are left to be read when their turn comes. */
const MOST = 256

/**
 * What of a table will be looked at soon, to be read at once: a processor waits for many cache misses at the same time if
 * they stand close together, and for each in turn where decisions lie between. So places are noted first,
 * and then read by a loop that does nothing else.
 */
export class ReadAhead {
  declare private readonly words: Int32Array
  declare private readonly places: Int32Array
  /** Where what is read goes, or the compiler would leave the reading out. */
  declare private readonly read: Int32Array
  #count = 0

  constructor(words: Int32Array) {
    this.words = words
    this.places = new Int32Array(MOST)
    this.read = new Int32Array(1)
  }

  /** Notes an index in the words. */
  note(place: number): void {
    if (this.#count < MOST) this.places[this.#count++] = place
  }

  /** Reads what has been noted since the last call. */
  fetch(): void {
    const { words, places } = this
    let read = 0
    for (let i = 0; i < this.#count; i++) read ^= words[places[i]!]!
    this.read[0] = read
    this.#count = 0
  }
}
