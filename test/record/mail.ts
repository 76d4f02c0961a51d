import { setTimeout as sleep } from 'node:timers/promises'
import { Postfix } from '../lib/postfix.ts'
import { HONEST, SERVER } from '../lib/scene.ts'
import { startDovecot } from './dovecot.ts'
import type { Stage } from './stage.ts'

/** 40 connections at once, then one mail a second for a minute and a half, from one address. */
export async function provider(stage: Stage): Promise<void> {
  const route = ['192.0.2.0/24', 'dev', 'eth0', 'src', HONEST[4]]
  stage.client.run('ip', 'route', 'replace', ...route)
  await Postfix.start(stage.server)
  const from = ['-M', 'out.provider.test', '-f', 'list@provider.test', '-t', 'alice@example.test']
  const deliver = (count: number) => {
    const mails = ['-s', String(count), '-m', String(count), '-l', '300']
    return stage.client.run('smtp-source', ...from, ...mails, `${SERVER[4]}:25`)
  }
  deliver(40)
  for (let second = 0; second < 90; second++) {
    await sleep(1000)
    deliver(1)
  }
}

/** A mail program that asks nine times a minute, for three minutes. */
export async function poller(stage: Stage): Promise<void> {
  await startDovecot(stage.server)
  const args = ['-sS', '--interface', HONEST[4], '-u', 'alice:right', `pop3://${SERVER[4]}/`]
  for (let poll = 0; poll < 27; poll++) {
    stage.client.run('curl', ...args)
    await sleep(60_000 / 9)
  }
}
