import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { EXIT, Failure } from '../failure.ts'

/**
 * What `native/` exports. An errno result of 0 means done. C++ checks shapes only (a number where one
 * belongs): arguments are validated in this directory, before the call.
 */
export interface Addon {
  readonly PacketQueue: new (copyBytes: number) => NativeQueue
  /** Byte offsets in the slab; native/slab.h documents the layout. */
  readonly slabLayout: { now: number; counters: number; packets: number; verdicts: number }
  /** IPSET_CMD_CREATE of a hash:net; `family` is AF_INET or AF_INET6. Returns an errno. */
  ipsetCreate(name: string, family: number, maxEntries: number): number
  /** IPSET_CMD_DESTROY or IPSET_CMD_FLUSH. Returns an errno. */
  ipsetCommand(command: number, name: string): number
  /** IPSET_CMD_ADD, _DEL or _TEST per record. Returns an errno, or (index, errno) pairs of the refused. */
  ipsetEntries(command: number, name: string, records: Uint8Array): number | Uint32Array
  /** All entries as records, or an errno. */
  ipsetList(name: string): number | Uint8Array
  /** Name and element count of every set, or an errno. */
  ipsetHeaders(): number | { name: string; entries: number }[]
  /** Deletes flows by original source: how many, or a negative errno. */
  conntrackDelete(records: Uint8Array): number
  /** Assured TCP flows to the ports of a bit set (native/flow.h), or an errno. */
  assuredFlows(ports: Uint8Array): number | Uint8Array
  /** Those of these tuples that there are (native/flow.h), or an errno. */
  flowsOf(tuples: Uint8Array): number | Uint8Array
  /** TCP sockets that listen (native/listeners.h), or an errno. */
  tcpListeners(): number | Uint8Array
  readonly FlowEvents: new () => NativeFlowEvents
  /** One datagram to a Unix socket; a leading `@` means the abstract name space. Returns an errno. */
  notify(path: string, state: string): number
  /** nice(2) and the length of a turn of the calling thread. Returns an errno; what was permitted holds. */
  hasten(nice: number, turnMicroseconds: number): number
}

export interface NativeQueue {
  readonly slab: ArrayBuffer
  /** Socket, its options, and a harmless request that only a permitted caller of a capable kernel may make. */
  open(socketBufferBytes: number): number
  bind(queue: number, length: number, failOpen: boolean): number
  /** Opens the sockets for answers, whose packets carry a firewall mark. */
  openReplies(mark: number): number
  start(onBatch: (count: number) => void): number
  close(): void
}

export interface NativeFlowEvents {
  /** `FLOW_EVENT_COUNTERS` as doubles, then the flows of the batch. */
  readonly slab: ArrayBuffer
  open(socketBufferBytes: number): number
  /** Takes an array of `struct sock_filter`. */
  setFilter(program: Uint8Array): number
  start(onFlows: (count: number) => void): number
  close(): void
}

let loaded: Addon | undefined

/**
 * The addon of this thread, loaded on first use: `build/Release/nfqueue.node`, or the file that the
 * environment variable SLUICE_ADDON names (a sanitizer build under test).
 *
 * @throws Failure (EXIT.unavailable) if it is not built, or not for this Node and this machine.
 */
export function addon(): Addon {
  loaded ??= load()
  return loaded
}

function load(): Addon {
  const file =
    process.env.SLUICE_ADDON ?? fileURLToPath(new URL('../../build/Release/nfqueue.node', import.meta.url))
  try {
    return createRequire(import.meta.url)(file) as Addon
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'MODULE_NOT_FOUND' ? 'it is not built' : message
    throw new Failure(
      EXIT.unavailable,
      `cannot load the addon ${file} into Node ${process.versions.node}: ${why}`,
      'run "npm run build" with the Node that is to run sluice',
      { cause: error },
    )
  }
}
