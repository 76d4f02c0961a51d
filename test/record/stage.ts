import { writeFileSync } from 'node:fs'
import type { Host } from '../lib/lab.ts'
import { Scene } from '../lib/scene.ts'
import { Scratch } from '../lib/scratch.ts'

/** Where a recording is made: the scene of the kernel tests, with checksums on the wire as they are elsewhere. */
export class Stage {
  readonly scene = new Scene('spoofer')
  readonly scratch = new Scratch()

  constructor() {
    // Between namespaces a packet's checksum is left for a network card to fill in, which never comes.
    for (const host of this.scene.lab.hosts) host.run('ethtool', '-K', 'eth0', 'tx', 'off')
  }

  get server(): Host {
    return this.scene.server
  }

  get client(): Host {
    return this.scene.client
  }

  /** Another address of the client, which the server knows the way to. */
  addClient(address: string): void {
    this.client.addAddress(`${address}/32`)
    this.server.run('ip', 'route', 'replace', `${address}/32`, 'dev', 'eth0')
  }

  /** A file with `lines`, gone when the stage closes. */
  write(name: string, lines: readonly string[]): string {
    const path = this.scratch.path(name)
    writeFileSync(path, `${lines.join('\n')}\n`)
    return path
  }

  close(): void {
    this.scene.close()
    this.scratch.close()
  }
}
