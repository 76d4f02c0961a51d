import { describe, expect, test } from 'vitest'
import type { PortRange } from '../../src/config/policy.ts'
import { EVERYTHING, firewallRules } from '../../src/firewall/rules.ts'
import { ownSets } from '../../src/firewall/sets.ts'
import { policy, service } from '../lib/policies.ts'

const CONSTANT = 2_654_435_769
const UNLESS_ALLOWED = {
  4: '-m set ! --match-set sluice-allow-4 src',
  6: '-m set ! --match-set sluice-allow-6 src',
}
const ANSWER = '-p udp -m udp --sport 53 -m conntrack --ctstate ESTABLISHED --ctdir REPLY -j RETURN'

function tcp(first: number, last = first): PortRange {
  return { protocol: 'tcp', first, last }
}

function udp(first: number, last = first): PortRange {
  return { protocol: 'udp', first, last }
}

const dns = service('dns', 53, { ports: [tcp(53), udp(53)], dns: true })
const FLOOD = { usualPerSecond: 200, factor: 4, calmMs: 60_000 }

describe('rules', () => {
  test('bans are per service and protocol, behind the bans of all ports, and ask last whether a source is allowed', () => {
    const { raw } = firewallRules(policy([service('ssh', 22), dns], { holds: undefined }), 4, CONSTANT, {
      ...EVERYTHING,
      marksEvents: false,
    })
    expect(raw).toEqual([
      `-m set --match-set sluice-ban-all-4 src ${UNLESS_ALLOWED[4]} -j DROP`,
      `-p tcp -m multiport --dports 22 -m set --match-set sluice-ban-ssh-4 src ${UNLESS_ALLOWED[4]} -j DROP`,
      `-p tcp -m multiport --dports 53 -m set --match-set sluice-ban-dns-4 src ${UNLESS_ALLOWED[4]} -j DROP`,
      `-p udp -m multiport --dports 53 -m set --match-set sluice-ban-dns-4 src ${UNLESS_ALLOWED[4]} -j DROP`,
    ])
  })

  test('connections to services tell when they are assured and destroyed, behind holds and bans', () => {
    const services = [service('ssh', 22), service('mail', 25, { ports: [tcp(25), tcp(465)] }), dns]
    const { raw } = firewallRules(policy(services), 6, CONSTANT)
    const without = firewallRules(policy(services), 6, CONSTANT, { ...EVERYTHING, marksEvents: false }).raw
    expect(raw).toEqual([
      ...without,
      '-p tcp -m tcp --tcp-flags SYN,ACK SYN -m multiport --dports 22,25,465,53 -j CT --ctevents destroy,assured',
    ])
    const ofUdp = firewallRules(policy([service('dns', 53, { ports: [udp(53)] })]), 4, CONSTANT).raw
    expect(ofUdp.filter((rule) => rule.includes('CT'))).toEqual([])
  })

  test('holds come before bans, take of TCP only the SYNs, and leave a sample', () => {
    const services = [service('ssh', 22), dns]
    const options = { ...EVERYTHING, marksEvents: false }
    const without = firewallRules(policy(services, { holds: undefined }), 4, CONSTANT, options).raw
    const { raw } = firewallRules(policy(services), 4, CONSTANT, options)
    const added = raw.length - without.length
    expect(raw.slice(added)).toEqual(without)
    const syn = '-p tcp -m tcp --tcp-flags SYN,ACK SYN'
    const sample = '-m statistic --mode nth ! --every 64 --packet 0'
    expect(raw.slice(0, added)).toEqual([
      `${syn} -m multiport --dports 22 -m set --match-set sluice-hold-ssh-4 src ${UNLESS_ALLOWED[4]} ${sample} -j DROP`,
      `${syn} -m multiport --dports 53 -m set --match-set sluice-hold-dns-4 src ${UNLESS_ALLOWED[4]} ${sample} -j DROP`,
      `-p udp -m multiport --dports 53 -m set --match-set sluice-hold-dns-4 src ${UNLESS_ALLOWED[4]} ${sample} -j DROP`,
    ])
  })

  test('a flood of reverse queries is thinned out behind the bans, of those who are not spared', () => {
    const services = policy([service('ssh', 22), dns], { dns: { flood: FLOOD } })
    const options = { ...EVERYTHING, marksEvents: false }
    const without = firewallRules(services, 6, CONSTANT, { ...options, thinsFlood: false }).raw
    const { raw } = firewallRules(services, 6, CONSTANT, options)
    expect(raw.slice(0, without.length)).toEqual(without)
    const strangers = `-m set --match-set sluice-flood-6 src -m set ! --match-set sluice-spared-6 src ${UNLESS_ALLOWED[6]}`
    const few = '-m statistic --mode nth ! --every 8 --packet 0'
    expect(raw.slice(without.length)).toEqual(
      ['07696e2d61646472046172706100', '03697036046172706100'].map(
        (zone) =>
          `-p udp -m multiport --dports 53 ${strangers} -m string --hex-string "|${zone}|" --algo bm --icase ${few} -j DROP`,
      ),
    )
  })

  test.each([
    ['no DNS service', policy([service('ssh', 22)], { dns: { flood: FLOOD } })],
    ['no holds', policy([dns], { holds: undefined, dns: { flood: FLOOD } })],
    ['floods not looked for', policy([dns])],
  ])('with %s nothing is thinned out, and there are no sets for it', (_, given) => {
    expect(firewallRules(given, 4, CONSTANT).raw.join('\n')).not.toContain('sluice-flood')
    expect(ownSets(given, 4).map(({ name }) => name)).not.toContain('sluice-flood-4')
  })

  test('new TCP connections and every UDP datagram are queued, but of allowed sources', () => {
    expect(firewallRules(policy([service('ssh', 22), dns]), 6, CONSTANT).mangle).toEqual([
      ANSWER,
      `-p tcp -m tcp --tcp-flags SYN,ACK SYN -m conntrack --ctstate NEW,UNTRACKED -m multiport --dports 22,53 ${UNLESS_ALLOWED[6]} -j NFQUEUE --queue-num 9713 --queue-bypass`,
      `-p udp -m multiport --dports 53 ${UNLESS_ALLOWED[6]} -j NFQUEUE --queue-num 9713 --queue-bypass`,
    ])
  })

  test('a policy without TCP still asks for conntrack, which reassembles fragments', () => {
    const { mangle } = firewallRules(policy([service('dns', 53, { ports: [udp(53)] })]), 4, CONSTANT)
    expect(mangle.filter((rule) => rule.includes('conntrack'))).toEqual([ANSWER])
    expect(mangle.at(-1)).toContain('-j NFQUEUE')
  })

  test('unsolicited answers are queued behind what goes to services, by thread', () => {
    const unsolicited = { notrack: false, unsolicited: { alarmPerSecond: 10 } }
    const { mangle } = firewallRules(policy([service('ssh', 22)], { dns: unsolicited }), 4, CONSTANT)
    expect(mangle.at(-1)).toBe(
      `-p udp -m udp --sport 53 -m conntrack --ctstate NEW ${UNLESS_ALLOWED[4]} -j NFQUEUE --queue-num 9713 --queue-bypass`,
    )
    const two = firewallRules(policy([dns], { dns: unsolicited, threads: 2 }), 4, CONSTANT).mangle.slice(-2)
    expect(two.map((rule) => /ctstate NEW -m bpf .* --queue-num (\d+)/.exec(rule)?.[1])).toEqual([
      '9713',
      '9714',
    ])
  })

  test('notrack: queries and answers of the DNS service only, before anything else asks for a connection', () => {
    const web = service('web', 443, { ports: [udp(443)] })
    const odd = service('dns', 53, { dns: true, ports: [udp(53), tcp(53), udp(5300, 5301)] })
    const changes = { dns: { notrack: true, unsolicited: undefined } }
    const rules = firewallRules(policy([web, odd], changes), 6, CONSTANT)
    expect(rules.raw[0]).toBe('-p udp -m multiport --dports 53,5300:5301 -j CT --notrack')
    expect(rules.rawOutput).toEqual(['-p udp -m multiport --sports 53,5300:5301 -j CT --notrack'])
    expect(firewallRules(policy([web, odd]), 6, CONSTANT).rawOutput).toEqual([])
  })

  test('what sluice answers itself is not tracked; what the host asks is queued for reading', () => {
    const induced = { alarmPerHour: 1, ban: undefined }
    const rules = firewallRules(policy([dns], { threads: 2, dns: { slip: 2, induced } }), 4, CONSTANT)
    expect(rules.rawOutput).toEqual(['-p udp -m mark --mark 0x2000000 -j CT --notrack'])
    expect(rules.mangleOutput).toEqual([
      '-p udp -m udp --dport 53 -j NFQUEUE --queue-num 9715 --queue-bypass',
    ])
  })

  test('NFQUEUE rules are the last: with nobody listening, the rest of the chain is skipped', () => {
    const rules = firewallRules(policy([service('ssh', 22), dns], { threads: 3 }), 4, CONSTANT).mangle
    const first = rules.findIndex((rule) => rule.includes('-j NFQUEUE'))
    expect(rules.slice(first).every((rule) => rule.includes('--queue-bypass'))).toBe(true)
  })

  test.each<[string, PortRange[], string[]]>([
    ['15 ports in one rule', ports(15), [list(1, 15)]],
    ['the 16th port in a second', ports(16), [list(1, 15), '16']],
    ['a range counts twice', [...ports(13), tcp(100, 200)], [`${list(1, 13)},100:200`]],
    ['a range that no longer fits', [...ports(14), tcp(100, 200)], [list(1, 14), '100:200']],
    ['seven ranges and a port', [...ranges(7), tcp(9)], [`${rangeList(7)},9`]],
    ['an eighth range', ranges(8), [rangeList(7), '800:801']],
  ])('multiport takes 15: %s', (_, given, expected) => {
    const { raw } = firewallRules(
      policy([service('web', 1, { ports: given })], { holds: undefined }),
      4,
      CONSTANT,
    )
    const dports = raw.flatMap((rule) => /--dports (\S+)/.exec(rule)?.[1] ?? [])
    // The bans, and then the events.
    expect(dports).toEqual([...expected, ...expected])
  })

  test('several threads: a queue each, chosen by the source network', () => {
    const { mangle } = firewallRules(policy([service('ssh', 22)], { threads: 2 }), 4, CONSTANT)
    expect(mangle.map((rule) => rule.replace(/^.* -m bpf/, '-m bpf'))).toEqual([
      `-m bpf --bytecode "9,32 0 0 12,116 0 0 8,36 0 0 ${CONSTANT},116 0 0 16,36 0 0 2,116 0 0 16,21 0 1 0,6 0 0 65535,6 0 0 0" ${UNLESS_ALLOWED[4]} -j NFQUEUE --queue-num 9713 --queue-bypass`,
      `-m bpf --bytecode "9,32 0 0 12,116 0 0 8,36 0 0 ${CONSTANT},116 0 0 16,36 0 0 2,116 0 0 16,21 0 1 1,6 0 0 65535,6 0 0 0" ${UNLESS_ALLOWED[4]} -j NFQUEUE --queue-num 9714 --queue-bypass`,
    ])
  })
})

function ports(count: number): PortRange[] {
  return Array.from({ length: count }, (_, i) => tcp(i + 1))
}

function list(first: number, last: number): string {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i).join(',')
}

function ranges(count: number): PortRange[] {
  return Array.from({ length: count }, (_, i) => tcp((i + 1) * 100, (i + 1) * 100 + 1))
}

function rangeList(count: number): string {
  return ranges(count)
    .map(({ first, last }) => `${first}:${last}`)
    .join(',')
}
