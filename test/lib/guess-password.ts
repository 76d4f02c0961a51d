import type { Host } from './lab.ts'

/**
 * OpenSSH's client with one wrong password from `from`, an address of `client`, for a user who has none (test/lib/sshd.ts).
 *
 * @returns how it ended: 5 s without a connection are too long
 */
export async function guessPassword(
  client: Host,
  from: string,
  to: string,
): Promise<'refused' | 'unreachable'> {
  const options = {
    BindAddress: from,
    ConnectTimeout: '5',
    NumberOfPasswordPrompts: '1',
    PreferredAuthentications: 'password',
    StrictHostKeyChecking: 'no',
    UserKnownHostsFile: '/dev/null',
  }
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  // What this program prints is the password: here, the question itself.
  const ask = ['SSH_ASKPASS=/bin/echo', 'SSH_ASKPASS_REQUIRE=force']
  const { stderr } = await client.attempt('env', ...ask, 'ssh', '-F', 'none', ...flags, `alice@${to}`)
  return stderr.includes('Permission denied') ? 'refused' : 'unreachable'
}
