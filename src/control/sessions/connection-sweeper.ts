import { deleteConnections } from '../../kernel/conntrack.ts'
import { NetlinkError } from '../../kernel/netlink-error.ts'
import type { Prefix } from '../../net/prefix.ts'
import type { Log } from '../log/log.ts'

const PAUSE_MS = 1000

/**
 * Deletes the conntrack entries of banned sources, so that their open connections die with the ban. Each
 * pass reads the kernel's whole table, so passes are a second apart: the first source of a wave is swept
 * at once, those that follow together.
 */
export class ConnectionSweeper {
  readonly #log: Log
  #waiting: Prefix[] = []
  #pause: NodeJS.Timeout | undefined

  constructor(log: Log) {
    this.#log = log
  }

  add(sources: readonly Prefix[]): void {
    if (sources.length === 0) return
    this.#waiting.push(...sources)
    if (this.#pause === undefined) this.#sweep()
  }

  close(): void {
    clearTimeout(this.#pause)
    this.#pause = undefined
    this.#waiting = []
  }

  #sweep(): void {
    const sources = this.#waiting
    this.#waiting = []
    this.#pause = undefined
    if (sources.length === 0) return
    this.#pause = setTimeout(() => this.#sweep(), PAUSE_MS).unref()
    try {
      const deleted = deleteConnections(sources)
      this.#log.debug('connections-deleted', `deleted ${deleted} connections of banned sources`)
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error
      this.#log.warn('connections-kept', `open connections of banned sources stay: ${error.message}`)
    }
  }
}
