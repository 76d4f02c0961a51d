/** `1 ban`, `2 bans`, `1,234 bans`: for nouns whose plural is formed by an s. */
export function counted(count: number, noun: string): string {
  // By hand: the first use of a locale costs a start 40 ms.
  const digits = `${count}`.replace(/\B(?=(\d{3})+$)/g, ',')
  return `${digits} ${noun}${count === 1 ? '' : 's'}`
}
