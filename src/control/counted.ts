import { grouped } from '../grouped.ts'

/** `1 ban`, `2 bans`, `1,234 bans`: for nouns whose plural is formed by an s. */
export function counted(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? '' : 's'}`
}
