import { execFileSync } from 'node:child_process'
import { chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { eventually } from '../lib/eventually.ts'
import type { Host } from '../lib/lab.ts'
import { Scratch } from '../lib/scratch.ts'

/** Dovecot's POP3 server in the namespace of a host until the lab closes. Everybody's password is "right". */
export async function startDovecot(host: Host): Promise<void> {
  const scratch = new Scratch()
  const [uid = 0, gid = 0] = ['-u', '-g'].map((flag) =>
    Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' })),
  )
  mkdirSync(scratch.path('mail'))
  chownSync(scratch.path('mail'), uid, gid)
  writeFileSync(scratch.path('conf'), config(scratch.directory, uid, gid))
  host.spawn('dovecot', ['-F', '-c', scratch.path('conf')], { stdio: 'ignore' })
  await eventually('Dovecot listens', async () => {
    const { stdout } = await host.attempt('ss', '-Hltn', 'sport = :110')
    return stdout.includes(':110')
  })
}

function config(directory: string, uid: number, gid: number): string {
  return `
protocols = pop3
ssl = no
disable_plaintext_auth = no
base_dir = ${directory}/run
state_dir = ${directory}/state
log_path = ${directory}/log
mail_location = maildir:${directory}/mail
first_valid_uid = 1
first_valid_gid = 1
passdb {
  driver = static
  args = password=right
}
userdb {
  driver = static
  args = uid=${uid} gid=${gid} home=${directory}/mail
}
service pop3-login {
  chroot =
  inet_listener pop3s {
    port = 0
  }
}
service anvil {
  chroot =
}
`
}
