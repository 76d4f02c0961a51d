import { dnsReport } from '../dns/dns-report.ts'
import { beginPanic, endPanic } from '../panic.ts'
import { reload } from '../reload.ts'
import type { DaemonState } from '../state.ts'
import { beginTrial, confirmTrial, describeTrial } from '../trial.ts'
import { addAllowed, listAllowed, removeAllowed } from './allow-requests.ts'
import { addBan, listBans, removeBan } from './ban-requests.ts'
import { explain } from './explain.ts'
import { forgetLearned, listLearned } from './learned-requests.ts'
import type { Request } from './requests.ts'
import { statusReport } from './status.ts'

/** Answers one request of the control socket; see `Results`. @throws Failure where it is refused. */
export async function handle(state: DaemonState, request: Request): Promise<unknown> {
  switch (request.op) {
    case 'status':
      return statusReport(state)
    case 'dns':
      return dnsReport(state)
    case 'reload':
      return state.serial.run(() => reload(state))
    case 'apply':
      return state.serial.run(() => beginTrial(state, request))
    case 'trial':
      return describeTrial(state)
    case 'confirm':
      return state.serial.run(() => confirmTrial(state))
    case 'panic':
      return beginPanic(state, request.reason ?? 'by hand')
    case 'resume':
      return state.serial.run(() => endPanic(state))
    case 'bans list':
      return listBans(state)
    case 'bans add':
      return addBan(state, request)
    case 'bans remove':
      return removeBan(state, request)
    case 'allow list':
      return listAllowed(state)
    case 'allow learned':
      return listLearned(state)
    case 'allow forget':
      return forgetLearned(state, request)
    case 'allow add':
      return state.serial.run(() => addAllowed(state, request))
    case 'explain':
      return explain(state, request)
    case 'allow remove':
      return state.serial.run(() => removeAllowed(state, request))
  }
}
