// Prints how the SSH server of this network namespace begins, as the daemon hears it.
import { askSshServer } from '../../../dist/control/evidence/ask-ssh-server.js'

console.log(JSON.stringify(await askSshServer('127.0.0.1', 22)))
