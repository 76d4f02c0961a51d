/** What a test says of a DNS query; everything else has an ordinary value. */
export interface QueryFields {
  readonly name: string
  /** 1 (A) unless said otherwise; 12 is PTR. */
  readonly type?: number
  readonly class?: number
  readonly flags?: number
  /** Of questions, answers, authorities and additional records. */
  readonly counts?: readonly [number, number, number, number]
  /** Bytes behind the question. */
  readonly rest?: Uint8Array | readonly number[]
}

/** OPT with a payload size of 1,232 and no options (RFC 6891, 6.1.2). */
export const OPT = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]

/** A DNS query as a UDP payload. */
export function query({
  name,
  type = 1,
  class: dnsClass = 1,
  flags = 0x0100,
  counts = [1, 0, 0, 0],
  rest = [],
}: QueryFields): Uint8Array {
  const words = [0x1234, flags, ...counts]
  return Uint8Array.from([
    ...words.flatMap((word) => [word >> 8, word & 255]),
    ...encodedName(name),
    type >> 8,
    type & 255,
    dnsClass >> 8,
    dnsClass & 255,
    ...rest,
  ])
}

/** A PTR query for `name`. */
export function ptrQuery(name: string): Uint8Array {
  return query({ name, type: 12 })
}

/** The name that asks for the name of an IPv4 address, given as a number. */
export function reverseOf(address: number): string {
  return `${[0, 8, 16, 24].map((shift) => (address >>> shift) & 255).join('.')}.in-addr.arpa`
}

function encodedName(name: string): number[] {
  const labels = name === '' ? [] : name.split('.')
  return [...labels.flatMap((label) => [label.length, ...Buffer.from(label, 'latin1')]), 0]
}
