// Accepts every packet with the `nfqueue` package: one call into JavaScript for each. Arguments: QUEUE PACKAGE
import { createRequire } from 'node:module'

const [number, directory] = process.argv.slice(2)
const { createQueueHandler, NF_ACCEPT } = createRequire(import.meta.url)(directory)
createQueueHandler(Number(number), 64 << 20, (packet) => packet.setVerdict(NF_ACCEPT))
console.log('ready')
