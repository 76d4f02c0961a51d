// Puts one SYN on the wire again and again with `cap`, which has one call and one copy for each packet.
// Arguments: PACKAGE INTERFACE SECONDS FRAME-IN-HEX. Prints like flood.c.
import { createRequire } from 'node:module'

const [directory, device, seconds, hex] = process.argv.slice(2)
const { Cap } = createRequire(import.meta.url)(directory)
const cap = new Cap()
cap.open(device, '', 1 << 20, Buffer.alloc(65_535))
const frame = Buffer.from(hex, 'hex')
const started = process.hrtime.bigint()
const end = started + BigInt(Math.round(seconds * 1e9))
let sent = 0
while (process.hrtime.bigint() < end) {
  for (let i = 0; i < 64; i++) cap.send(frame, frame.length)
  sent += 64
}
console.log(`${sent} ${process.hrtime.bigint() - started}`)
cap.close()
