import { afterAll, describe, expect, test } from 'vitest'
import { Direction } from '../../src/replay/capture/link-layer.ts'
import { linkTypeName } from '../../src/replay/capture/link-type-names.ts'
import { ethernet, pcap } from '../lib/capture-files.ts'
import { packet } from '../lib/packets.ts'
import { readBytes } from '../lib/read-capture.ts'
import { Scratch } from '../lib/scratch.ts'

const scratch = new Scratch()
afterAll(() => scratch.close())
const read = (linkType: number, ...frames: Uint8Array[]) =>
  readBytes(
    scratch.path('capture'),
    pcap(
      frames.map((bytes) => ({ bytes })),
      { linkType },
    ),
  )

const V4 = packet({ from: '198.51.100.7', port: 22 })
const V6 = packet({ from: '2001:db8::7', port: 22 })

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const behind = (header: string, payload: Uint8Array) => Buffer.concat([hex(header), payload])

const MACS = '020000000001 020000000002'
const COOKED = '0000 0001 0006 020000000002 0000'
const COOKED_2 = '0000 00000002 0001 00 06 020000000002 0000'

describe('the IP header is found', () => {
  test.each<[string, number, Uint8Array, Uint8Array]>([
    ['Ethernet, IPv4', 1, ethernet(V4), V4],
    ['Ethernet, IPv6', 1, ethernet(V6, 0x86dd), V6],
    ['Ethernet, VLAN', 1, ethernet(V4, 0x0800, [0x8100]), V4],
    ['Ethernet, QinQ', 1, ethernet(V6, 0x86dd, [0x88a8, 0x8100]), V6],
    ['Ethernet, three old tags', 1, ethernet(V4, 0x0800, [0x9100, 0x9200, 0x8100]), V4],
    ['Ethernet, 802.3 with SNAP', 1, behind(`${MACS} 0030 aaaa03 000000 0800`, V4), V4],
    ['Ethernet, PPPoE', 1, behind(`${MACS} 8864 11 00 0001 0036 0057`, V6), V6],
    ['Ethernet, PPPoE in a VLAN', 1, behind(`${MACS} 8100 0001 8864 11 00 0001 002a 0021`, V4), V4],
    ['Linux cooked', 113, behind(`${COOKED} 0800`, V4), V4],
    ['Linux cooked, VLAN', 113, behind(`${COOKED} 8100 0001 86dd`, V6), V6],
    ['Linux cooked v2', 276, behind(`86dd ${COOKED_2}`, V6), V6],
    ['Linux cooked v2, VLAN', 276, behind(`8100 ${COOKED_2} 0001 0800`, V4), V4],
    ['raw IP of BSD', 12, V4, V4],
    ['raw IP of OpenBSD', 14, V6, V6],
    ['raw IP', 101, V6, V6],
    ['raw IPv4', 228, V4, V4],
    ['raw IPv6', 229, V6, V6],
    ['null, little-endian', 0, behind('02000000', V4), V4],
    ['null, big-endian', 0, behind('00000002', V4), V4],
    ['null, IPv6 of macOS', 0, behind('1e000000', V6), V6],
    ['null, IPv6 of FreeBSD', 0, behind('0000001c', V6), V6],
    ['loop, IPv6 of OpenBSD', 108, behind('00000018', V6), V6],
    ['PPP without framing', 9, behind('0021', V4), V4],
    ['PPP with framing', 9, behind('ff03 0057', V6), V6],
    ['PPP with a short protocol', 9, behind('ff03 21', V4), V4],
    ['PPP, serial', 50, behind('ff03 0021', V4), V4],
    ['PPP over Ethernet alone', 51, behind('11 00 0001 0036 0057', V6), V6],
  ])('%s', async (_, linkType, frame, ip) => {
    const { packets, reader } = await read(linkType, frame)
    expect(packets).toMatchObject([{ bytes: Buffer.from(ip), originalLength: ip.length }])
    expect(reader.packets).toBe(1)
  })
})

describe('a frame without IP is counted', () => {
  test.each<[string, number, Uint8Array, 'arp' | 'otherProtocol' | 'tooShort']>([
    ['ARP', 1, ethernet(Buffer.alloc(28), 0x0806), 'arp'],
    ['ARP in a VLAN', 1, ethernet(Buffer.alloc(28), 0x0806, [0x8100]), 'arp'],
    ['LLDP', 1, ethernet(Buffer.alloc(28), 0x88cc), 'otherProtocol'],
    ['MPLS', 1, ethernet(V4, 0x8847), 'otherProtocol'],
    ['spanning tree (802.3, LLC)', 1, behind(`${MACS} 0026 424203`, Buffer.alloc(35)), 'otherProtocol'],
    ['SNAP of another organization', 1, behind(`${MACS} 0026 aaaa03 00000c 0800`, V4), 'otherProtocol'],
    ['PPP link control', 9, hex('ff03 c021 0101 0004'), 'otherProtocol'],
    ['null with AppleTalk', 0, behind('10000000', V4), 'otherProtocol'],
    ['Ethernet of 13 bytes', 1, Buffer.alloc(13), 'tooShort'],
    ['Ethernet cut in a tag', 1, ethernet(Buffer.alloc(0), 0x8100), 'tooShort'],
    ['Linux cooked of 15 bytes', 113, Buffer.alloc(15), 'tooShort'],
    ['Linux cooked v2 of 19 bytes', 276, Buffer.alloc(19), 'tooShort'],
    ['PPPoE cut in its header', 1, behind(`${MACS} 8864 1100`, Buffer.alloc(0)), 'tooShort'],
    ['nothing at all', 101, Buffer.alloc(0), 'tooShort'],
  ])('%s', async (_, linkType, frame, kind) => {
    const { packets, reader } = await read(linkType, frame)
    expect(packets).toEqual([])
    expect(reader.skipped[kind]).toBe(1)
    expect(reader.packets).toBe(1)
  })

  test('by its link type, where that is not read', async () => {
    const { reader } = await read(105, V4, V4)
    expect([...reader.skipped.unknownLinks]).toEqual([[105, 2]])
    expect(linkTypeName(105)).toBe('IEEE 802.11 (link type 105)')
    expect(linkTypeName(9999)).toBe('link type 9999')
  })
})

test('Linux cooked headers tell which way a packet went', async () => {
  const cooked = await read(113, behind(`${COOKED} 0800`, V4), behind(`0004${COOKED.slice(4)} 0800`, V4))
  expect(cooked.packets.map(({ direction }) => direction)).toEqual([Direction.inbound, Direction.outbound])

  const outbound = COOKED_2.replace('0001 00', '0001 04')
  const cooked2 = await read(276, behind(`0800 ${COOKED_2}`, V4), behind(`0800 ${outbound}`, V4))
  expect(cooked2.packets.map(({ direction }) => direction)).toEqual([Direction.inbound, Direction.outbound])

  expect((await read(1, ethernet(V4))).packets).toMatchObject([{ direction: Direction.unknown }])
})
