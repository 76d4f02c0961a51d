import { describe, expect, test } from 'vitest'
import { EXIT, type ExitStatus } from '../../src/failure.ts'
import { explainFailure } from '../../src/firewall/explain-failure.ts'
import { runTool, ToolError } from '../../src/firewall/run-tool.ts'

const RULES =
  '-m set --match-set x src -m multiport --dports 22 -m conntrack --ctstate NEW -j NFQUEUE --queue-num 1'
const NFT_REFUSED =
  'iptables-nft-restore v1.8.9 (nf_tables): \nline 3: RULE_APPEND failed (No such file or directory): rule in chain SLUICE'
const ALL = { match: ['set', 'multiport', 'conntrack', 'bpf'], target: ['NFQUEUE'] }

function failure(stderr: string, loaded = ALL, input = RULES) {
  const error = new ToolError('iptables-restore', Object.assign(new Error('exit'), { code: 1 }), stderr)
  return explainFailure(error, 4, input, loaded)
}

describe('a failure of iptables in words', () => {
  test.each<[string, string, typeof ALL, ExitStatus, RegExp]>([
    [
      'not root, nft',
      'iptables-nft-save v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)',
      ALL,
      EXIT.noPermission,
      /Permission denied/,
    ],
    [
      'not root, legacy',
      'iptables-save v1.8.9 (legacy): Cannot initialize: Permission denied (you must be root)',
      ALL,
      EXIT.noPermission,
      /Permission denied/,
    ],
    [
      'lock file not writable',
      "Fatal: can't open lock file /run/xtables.lock: Permission denied",
      ALL,
      EXIT.noPermission,
      /xtables\.lock/,
    ],
    [
      'lock held',
      'Another app is currently holding the xtables lock; still 2s 0us time ahead to have a chance to grab the lock...',
      ALL,
      EXIT.inUse,
      /xtables lock/,
    ],
    [
      'no nf_tables in the kernel',
      'iptables-nft-save v1.8.9 (nf_tables): Could not fetch rule set generation id: Invalid argument',
      ALL,
      EXIT.unavailable,
      /generation id/,
    ],
    [
      'no ip_tables in the kernel',
      "iptables-restore v1.8.9 (legacy): iptables-restore: unable to initialize table 'raw'",
      ALL,
      EXIT.unavailable,
      /unable to initialize/,
    ],
    [
      'a rule that only nft can read',
      'iptables-nft-save v1.8.9 (nf_tables): Parsing nftables rule failed\nPerhaps iptables-nft-save or your kernel needs to be upgraded.',
      ALL,
      EXIT.osError,
      /wrote a rule there with nft/,
    ],
    [
      'target missing, nft',
      NFT_REFUSED,
      { ...ALL, target: [] },
      EXIT.unavailable,
      /lacks the NFQUEUE target \(CONFIG_NETFILTER_XT_TARGET_NFQUEUE\)$/,
    ],
    [
      'two matches missing, legacy',
      'iptables-restore: line 4 failed',
      { ...ALL, match: ['multiport'] },
      EXIT.unavailable,
      /lacks the set match \(.*\) and the conntrack match \(.*\)$/,
    ],
    [
      'an extension that the tool names',
      `Warning: Extension conntrack revision 0 not supported, missing kernel module?\n${NFT_REFUSED}`,
      ALL,
      EXIT.unavailable,
      /lacks the conntrack match/,
    ],
    [
      'a library of the tool missing',
      "iptables-restore v1.8.9 (legacy): Couldn't load match `set':No such file or directory",
      ALL,
      EXIT.unavailable,
      /no extension "set"/,
    ],
    ['anything else', 'iptables-restore: line 9 failed', ALL, EXIT.osError, /line 9 failed/],
  ])('%s', (_, stderr, loaded, status, message) => {
    const explained = failure(stderr, loaded)
    expect(explained.status).toBe(status)
    expect(explained.message).toMatch(message)
  })

  test('a match that no rule uses is not blamed for being absent', () => {
    expect(failure(NFT_REFUSED, { ...ALL, match: ['set', 'multiport', 'conntrack'] }).status).toBe(
      EXIT.osError,
    )
  })
})

describe('running a tool', () => {
  test('one that is not installed says so', async () => {
    const error = await runTool('sluice-no-such-tool', []).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ToolError)
    expect((error as ToolError).isMissing).toBe(true)
  })

  test('input reaches it, whole and unchanged', async () => {
    const input = 'x'.repeat(300_000)
    expect(await runTool('cat', [], input)).toBe(input)
  })

  test('one that does not read its input still fails by its exit status', async () => {
    const running = runTool('sh', ['-c', 'echo no >&2; exit 3'], 'x'.repeat(300_000))
    await expect(running).rejects.toMatchObject({ message: 'sh failed: no', isMissing: false })
  })

  test('the environment of the caller does not choose the tools', async () => {
    expect(await runTool('sh', ['-c', 'echo $PATH $HOME'])).toBe(
      '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin\n',
    )
  })
})
