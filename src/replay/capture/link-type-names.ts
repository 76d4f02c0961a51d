/** Link types that captures in the field have and that are not read (https://www.tcpdump.org/linktypes.html). */
const NAMES: ReadonlyMap<number, string> = new Map([
  [3, 'AX.25'],
  [6, 'Token Ring'],
  [7, 'ARCNET'],
  [8, 'SLIP'],
  [10, 'FDDI'],
  [104, 'Cisco HDLC'],
  [105, 'IEEE 802.11'],
  [107, 'Frame Relay'],
  [117, 'pflog'],
  [119, 'IEEE 802.11 with Prism header'],
  [122, 'IP over Fibre Channel'],
  [123, 'SunATM'],
  [127, 'IEEE 802.11 with radiotap'],
  [129, 'ARCNET for Linux'],
  [163, 'IEEE 802.11 with AVS header'],
  [187, 'Bluetooth HCI'],
  [189, 'USB'],
  [192, 'PPI'],
  [195, 'IEEE 802.15.4'],
  [220, 'USB for Linux'],
  [227, 'CAN'],
  [231, 'D-Bus'],
  [239, 'nflog'],
  [240, 'Ethernet with netANALYZER header'],
  [247, 'InfiniBand'],
  [253, 'netlink'],
  [272, 'nordic BLE'],
])

/** A name for a message, for instance "IEEE 802.11 (link type 105)". */
export function linkTypeName(linkType: number): string {
  const name = NAMES.get(linkType)
  return name === undefined ? `link type ${linkType}` : `${name} (link type ${linkType})`
}
