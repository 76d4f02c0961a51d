/** `1 ban`, `2 bans`: for nouns whose plural is formed by an s. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`
}
