import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const open = new Set<Scratch>()
process.on('exit', () => {
  for (const each of open) each.close()
})

/** A new directory that other users may enter: servers drop their privileges. `close`, or the end of this process, removes it. */
export class Scratch {
  readonly directory = mkdtempSync(join(tmpdir(), 'sluice-'))

  constructor() {
    open.add(this)
    chmodSync(this.directory, 0o755)
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  close(): void {
    open.delete(this)
    // A process that has just been killed may still be writing.
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }
}
