import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs'
import type { Scratch } from './scratch.ts'

/** Everything that Postfix writes to lies in the scratch. It asks no DNS, and takes mail for example.test. */
const mainConfig = (directory: string) => `
compatibility_level = 3.6
queue_directory = ${directory}/spool
data_directory = ${directory}/data
maillog_file = /dev/stdout
myhostname = mail.example.test
mydestination = example.test
local_recipient_maps =
inet_protocols = all
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = example.test
cyrus_sasl_config_path = ${directory}/sasl
smtpd_client_connection_count_limit = 0
`

/** Nothing runs in a chroot. */
const SERVICES = `
cleanup    unix n - n - 0 cleanup
qmgr       unix n - n 300 1 qmgr
tlsmgr     unix - - n 1000? 1 tlsmgr
rewrite    unix - - n - - trivial-rewrite
bounce     unix - - n - 0 bounce
defer      unix - - n - 0 bounce
anvil      unix - - n - 1 anvil
proxymap   unix - - n - - proxymap
discard    unix - - n - - discard
postlog    unix-dgram n - n - 1 postlogd
`

/**
 * Writes a configuration that \`postfix -c DIRECTORY start-fg\` takes.
 *
 * @param settings further lines of main.cf, which win. @param ports lines of master.cf: where it listens
 */
export function writePostfix(scratch: Scratch, settings: readonly string[], ports: readonly string[]): void {
  for (const name of ['spool', 'spool/private', 'data', 'sasl']) mkdirSync(scratch.path(name))
  for (const name of ['data', 'spool/private']) chownSync(scratch.path(name), ...postfixIds())
  writeFileSync(scratch.path('main.cf'), [mainConfig(scratch.directory), ...settings, ''].join('\n'))
  writeFileSync(scratch.path('master.cf'), [...ports, SERVICES].join('\n'))
}

/** Has Cyrus SASL know alice of example.test. */
export function addMailUser(scratch: Scratch, password: string): void {
  const users = scratch.path('sasldb2')
  const settings = ['pwcheck_method: auxprop', 'auxprop_plugin: sasldb', `sasldb_path: ${users}`]
  writeFileSync(scratch.path('sasl/smtpd.conf'), [...settings, 'mech_list: PLAIN LOGIN', ''].join('\n'))
  execFileSync('saslpasswd2', ['-p', '-c', '-f', users, '-u', 'example.test', 'alice'], { input: password })
  chownSync(users, ...postfixIds())
  chmodSync(users, 0o600)
}

function postfixIds(): [uid: number, gid: number] {
  const [uid = 0, gid = 0] = ['-u', '-g'].map((flag) =>
    Number(execFileSync('id', [flag, 'postfix'], { encoding: 'utf8' })),
  )
  return [uid, gid]
}
