const PORTS = 65_536

interface Range {
  readonly first: number
  readonly last: number
}

/** A set of port numbers, with a bit for each: the form in which the addon takes it. */
export class PortSet {
  readonly bits = new Uint8Array(PORTS / 8)

  constructor(ranges: readonly Range[]) {
    for (const { first, last } of ranges) {
      for (let port = first; port <= last; port++) this.bits[port >> 3]! |= 1 << (port & 7)
    }
  }

  has(port: number): boolean {
    return ((this.bits[port >> 3]! >> (port & 7)) & 1) === 1
  }

  /** As few ranges as hold all ports, in order. */
  ranges(): Range[] {
    const ranges: Range[] = []
    for (let port = 0; port < PORTS; port++) {
      if (!this.has(port)) continue
      const first = port
      while (port + 1 < PORTS && this.has(port + 1)) port++
      ranges.push({ first, last: port })
    }
    return ranges
  }
}
