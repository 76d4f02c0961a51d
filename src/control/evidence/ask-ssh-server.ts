import { connect } from 'node:net'
import { OPENING_MAX, readSshOpening, type SshOpening } from './ssh-opening.ts'

/** It is this host, but its sshd may be busy. */
const TIMEOUT_MS = 5000

/** SSH_MSG_DISCONNECT and SSH_DISCONNECT_BY_APPLICATION (RFC 4253, section 11.1). */
const DISCONNECT = 1
const BY_APPLICATION = 11

const GREETING = 'SSH-2.0-sluice\r\n'
/** What the server logs. */
const REASON = 'sluice reads which host keys this server has'

/**
 * Connects to an SSH server of this host, reads what it says first, and takes leave.
 *
 * @returns `undefined`: nobody answers, or not as an SSH server does.
 */
export function askSshServer(host: string, port: number): Promise<SshOpening | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    let heard = Buffer.alloc(0)
    const end = (opening?: SshOpening) => {
      clearTimeout(timer)
      resolve(opening)
      if (opening === undefined) socket.destroy()
      else socket.end(disconnect())
    }
    const timer = setTimeout(() => {
      end()
      socket.destroy()
    }, TIMEOUT_MS)
    socket.unref()
    socket.on('connect', () => socket.write(GREETING))
    socket.on('data', (chunk) => {
      heard = Buffer.concat([heard, chunk])
      const opening = readSshOpening(heard)
      if (typeof opening === 'object') end(opening)
      else if (opening === 'foreign' || heard.length > OPENING_MAX) end()
    })
    socket.on('error', () => end())
    socket.on('close', () => end())
  })
}

/** A packet of RFC 4253, section 6, as it is before keys are agreed upon: padded to eight bytes, by four at least. */
function disconnect(): Buffer {
  const text = Buffer.from(REASON)
  const payload = Buffer.alloc(1 + 4 + 4 + text.length + 4)
  payload[0] = DISCONNECT
  payload.writeUInt32BE(BY_APPLICATION, 1)
  payload.writeUInt32BE(text.length, 5)
  text.copy(payload, 9)
  const toBlock = 8 - ((5 + payload.length) % 8)
  const padding = toBlock < 4 ? toBlock + 8 : toBlock
  const head = Buffer.alloc(5)
  head.writeUInt32BE(1 + payload.length + padding, 0)
  head[4] = padding
  return Buffer.concat([head, payload, Buffer.alloc(padding)])
}
