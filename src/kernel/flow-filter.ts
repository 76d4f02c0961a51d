import { endianness } from 'node:os'
import type { PortSet } from './port-set.ts'

/** `struct sock_filter` of linux/filter.h: code (u16), jt, jf, k (u32), in host order. */
const INSTRUCTION_BYTES = 8
const LITTLE_ENDIAN = endianness() === 'LE'

/** Classic BPF, of linux/bpf_common.h. */
const LDB_INDIRECT = 0x50
const LDH_INDIRECT = 0x48
const LD_INDIRECT = 0x40
const LD_IMMEDIATE = 0x00
const LD_ABSOLUTE = 0x20
const LDX_IMMEDIATE = 0x01
const JUMP_EQUAL = 0x15
const JUMP_GREATER = 0x25
const JUMP_AT_LEAST = 0x35
const JUMP_BITS = 0x45
const RETURN = 0x06
const TAX = 0x07

/** SKF_AD_OFF + SKF_AD_NLATTR: the offset, from A on, of the attribute of type X; 0 if there is none. */
const FIND_ATTRIBUTE = -0x1000 + 12
/** SKF_AD_NLATTR_NEST: the same within the attribute at A. */
const FIND_NESTED = -0x1000 + 16

/** Behind the headers: struct nlmsghdr and struct nfgenmsg. */
const FIRST_ATTRIBUTE = 20
const ATTRIBUTE_HEADER = 4
const CTA_TUPLE_ORIG = 1
const CTA_TUPLE_PROTO = 2
const CTA_PROTO_NUM = 1
const CTA_PROTO_DST_PORT = 3
const CTA_STATUS = 3
const IPS_ASSURED = 1 << 2
const TCP = 6

/** BPF_MAXINSNS is 4096, and a range takes three. */
const RANGES_MAX = 1000

type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, k: number]

/**
 * A program for SO_ATTACH_FILTER that lets conntrack's messages about assured TCP flows to one of `ports`
 * through, and none else. Other flows of a busy host make thousands of events a second, and half-open ones
 * that time out one each: they end in the kernel. Ports in more than 1,000 ranges are all let through.
 */
export function flowFilter(ports: PortSet): Uint8Array {
  const ranges = ports.ranges()
  const program: Instruction[] = [
    ...attribute(CTA_STATUS),
    [TAX, 0, 0, 0],
    [LD_INDIRECT, 0, 0, ATTRIBUTE_HEADER],
    [JUMP_BITS, 1, 0, IPS_ASSURED],
    [RETURN, 0, 0, 0],
    ...protocolPart(CTA_PROTO_NUM),
    [LDB_INDIRECT, 0, 0, ATTRIBUTE_HEADER],
    [JUMP_EQUAL, 1, 0, TCP],
    [RETURN, 0, 0, 0],
    ...protocolPart(CTA_PROTO_DST_PORT),
    [LDH_INDIRECT, 0, 0, ATTRIBUTE_HEADER],
    ...(ranges.length > RANGES_MAX ? [[RETURN, 0, 0, 0xffffffff] as const] : ranges.flatMap(acceptRange)),
    [RETURN, 0, 0, 0],
  ]
  return assemble(program)
}

/** A = offset of the attribute, X = its type; ends if there is none. */
function attribute(type: number): Instruction[] {
  return [
    [LDX_IMMEDIATE, 0, 0, type],
    [LD_IMMEDIATE, 0, 0, FIRST_ATTRIBUTE],
    [LD_ABSOLUTE, 0, 0, FIND_ATTRIBUTE],
    [JUMP_EQUAL, 0, 1, 0],
    [RETURN, 0, 0, 0],
  ]
}

function nested(type: number): Instruction[] {
  return [
    [LDX_IMMEDIATE, 0, 0, type],
    [LD_ABSOLUTE, 0, 0, FIND_NESTED],
    [JUMP_EQUAL, 0, 1, 0],
    [RETURN, 0, 0, 0],
  ]
}

/** X = offset of a part of the original tuple's protocol. */
function protocolPart(type: number): Instruction[] {
  return [...attribute(CTA_TUPLE_ORIG), ...nested(CTA_TUPLE_PROTO), ...nested(type), [TAX, 0, 0, 0]]
}

function acceptRange({ first, last }: { first: number; last: number }): Instruction[] {
  return [
    [JUMP_AT_LEAST, 0, 2, first],
    [JUMP_GREATER, 1, 0, last],
    [RETURN, 0, 0, 0xffffffff],
  ]
}

function assemble(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * INSTRUCTION_BYTES)
  const view = new DataView(bytes.buffer)
  for (const [i, [code, jumpTrue, jumpFalse, k]] of program.entries()) {
    const at = i * INSTRUCTION_BYTES
    view.setUint16(at, code, LITTLE_ENDIAN)
    bytes[at + 2] = jumpTrue
    bytes[at + 3] = jumpFalse
    view.setUint32(at + 4, k >>> 0, LITTLE_ENDIAN)
  }
  return bytes
}
