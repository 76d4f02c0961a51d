import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

const NETLINK_NETFILTER = '12'

/**
 * Who has bound `queue`, in words, such as "process 4711 (suricata)"; `undefined` if nobody has. The
 * kernel knows the netlink port id of the holder; its socket's inode leads to the process.
 */
export function describeQueueHolder(queue: number): string | undefined {
  const portId = findPortId(read('/proc/net/netfilter/nfnetlink_queue'), queue)
  if (portId === undefined) return undefined
  const inode = findInode(read('/proc/net/netlink'), portId)
  const pid = inode === undefined ? undefined : findProcess(inode)
  if (pid === undefined) return `netlink port ${portId}`
  return `process ${pid} (${read(`/proc/${pid}/comm`).trim()})`
}

/** @param table /proc/net/netfilter/nfnetlink_queue: queue, port id, ... */
export function findPortId(table: string, queue: number): number | undefined {
  const row = rows(table).find(([number]) => Number(number) === queue)
  return row?.[1] === undefined ? undefined : Number(row[1])
}

/** @param table /proc/net/netlink: socket, protocol, port id, ..., inode as the last column */
export function findInode(table: string, portId: number): string | undefined {
  // The one table prints the port id as an unsigned number, the other may print a signed one.
  const row = rows(table).find(
    ([, protocol, id]) => protocol === NETLINK_NETFILTER && Number(id) >>> 0 === portId >>> 0,
  )
  return row?.at(-1)
}

function findProcess(inode: string): string | undefined {
  const target = `socket:[${inode}]`
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .find((pid) => openFiles(pid).some((file) => file === target))
}

function openFiles(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => link(`/proc/${pid}/fd/${fd}`))
  } catch {
    return []
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function rows(table: string): string[][] {
  return table.split('\n').map((line) => line.trim().split(/\s+/))
}
