// Runs inside a namespace: a Firewall of the built program that takes calls as JSON lines on standard
// input, `[method, ...arguments]`, and answers each with a line, `{ value }` or `{ failure }`.
import { createInterface } from 'node:readline'
import { Firewall } from '../../dist/firewall/firewall.js'
import { takeDown } from '../../dist/firewall/take-down.js'
import { parsePrefix } from '../../dist/net/prefix.js'

let firewall

const methods = {
  create: (policy, allowed) => {
    firewall = new Firewall(policy, allowed.map(parsePrefix))
  },
  setAllowed: (allowed) => firewall.setAllowed(allowed.map(parsePrefix)),
  takeDown,
}

for await (const line of createInterface({ input: process.stdin })) {
  const [method, ...args] = JSON.parse(line)
  console.log(JSON.stringify(await answer(method, args), mapsAsObjects))
}

async function answer(method, args) {
  try {
    return { value: await (methods[method] ?? firewall[method].bind(firewall))(...args) }
  } catch (error) {
    return { failure: { status: error.status, message: error.message, remedy: error.remedy } }
  }
}

function mapsAsObjects(_key, value) {
  return value instanceof Map ? Object.fromEntries(value) : value
}
