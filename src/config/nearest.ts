/**
 * The one of `candidates` that `word` was probably meant to be, or `undefined`. Case, `-` and `_` do not
 * count, and one wrong letter in three is forgiven.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const plain = simplify(word.slice(0, 40))
  let best: string | undefined
  let least = Number.POSITIVE_INFINITY
  for (const candidate of candidates) {
    const distance = editDistance(plain, simplify(candidate))
    const forgiven = Math.ceil(Math.max(plain.length, candidate.length) / 3)
    if (distance <= forgiven && distance < least) {
      best = candidate
      least = distance
    }
  }
  return best
}

function simplify(word: string): string {
  return word.toLowerCase().replaceAll(/[-_]/g, '')
}

/** Levenshtein's: how many letters must be added, removed or replaced to make `a` into `b`. */
function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, above[j]! + 1, row[j - 1]! + 1))
    }
    above = row
  }
  return above[b.length]!
}
