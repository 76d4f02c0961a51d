import type { Family } from '../../src/net/prefix.ts'
import { type Host, Lab } from './lab.ts'

/** An address of each family. */
export type Addresses = Readonly<Record<Family, string>>

/** Addresses for documentation (RFC 5737, RFC 3849), each in a /24 and a /48 of its own. */
export const SERVER: Addresses = { 4: '192.0.2.10', 6: '2001:db8:1::10' }
export const ATTACKER: Addresses = { 4: '203.0.113.66', 6: '2001:db8:bad::66' }
export const HONEST: Addresses = { 4: '198.51.100.7', 6: '2001:db8:600d::7' }

/**
 * Two hosts on one Ethernet: the server, and a client with an attacker's and an honest user's address.
 * What the client sends comes from the attacker's unless its program binds to another one. Answers to more
 * addresses go by way of `client.ipv4`, not straight to each: the kernel's table of neighbours holds a thousand
 * and is common to all namespaces.
 */
export class Scene {
  readonly lab: Lab
  readonly server: Host
  readonly client: Host

  /** `others`: names of further hosts of the lab. */
  constructor(...others: string[]) {
    this.lab = Lab.create(['server', 'client', ...others])
    this.server = this.lab.host('server')
    this.client = this.lab.host('client')
    try {
      this.#address()
    } catch (error) {
      this.close()
      throw error
    }
  }

  close(): void {
    this.lab.close()
  }

  #address(): void {
    this.server.addAddress(`${SERVER[4]}/32`, `${SERVER[6]}/128`)
    for (const { 4: v4, 6: v6 } of [ATTACKER, HONEST]) this.client.addAddress(`${v4}/32`, `${v6}/128`)
    for (const network of ['203.0.113.0/24', '198.51.100.0/24', '2001:db8::/32']) {
      this.server.run('ip', 'route', 'add', network, 'dev', 'eth0')
    }
    this.client.run('ip', 'route', 'add', '192.0.2.0/24', 'dev', 'eth0', 'src', ATTACKER[4])
    this.client.run('ip', 'route', 'add', '2001:db8:1::/48', 'dev', 'eth0', 'src', ATTACKER[6])
  }
}
