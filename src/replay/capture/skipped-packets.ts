import { NO_IP } from './link-layer.ts'

/** Counts the packets of a capture that hold no IP, or none that was found. */
export class SkippedPackets {
  arp = 0
  /** Neither IP nor ARP. */
  otherProtocol = 0
  /** Shorter, or cut shorter, than the link header. */
  tooShort = 0
  /** By link type, where that is none that is read; `linkTypeName` has names for messages. */
  readonly unknownLinks = new Map<number, number>()

  /** @param why one of `NO_IP` */
  add(why: number, linkType: number): void {
    if (why === NO_IP.arp) this.arp++
    else if (why === NO_IP.tooShort) this.tooShort++
    else if (why === NO_IP.otherProtocol) this.otherProtocol++
    else this.unknownLinks.set(linkType, (this.unknownLinks.get(linkType) ?? 0) + 1)
  }
}
