import { deleteConnections } from '../../../dist/kernel/conntrack.js'
import * as ipset from '../../../dist/kernel/ipset.js'
import { sdNotify } from '../../../dist/kernel/notify.js'
import { formatPrefix, parsePrefix } from '../../../dist/net/prefix.js'
import { main } from './lab.mjs'

const functions = { ...ipset, deleteConnections, sdNotify }

await main({
  /**
   * `calls`: a list of [function, ...arguments] in JSON; returns what each returned, or
   * { name, code, message } of what it threw. Prefixes are written as text both ways.
   */
  async calls(calls) {
    return JSON.parse(calls, readPrefix).map(([name, ...args]) => {
      try {
        return JSON.parse(JSON.stringify(functions[name](...args) ?? null, writePrefix))
      } catch ({ name, code, message }) {
        return { name, code, message }
      }
    })
  },

  /** A set as large as they get by default; the first entry's timeout is shorter the second time. */
  async 'many entries'() {
    const entries = Array.from({ length: 65_000 }, (_, i) => ({
      prefix: parsePrefix(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`),
      timeoutSeconds: 600 + i,
    }))
    ipset.createSet('many', { family: 4, maxEntries: 65_536 })
    const start = performance.now()
    const refused = [ipset.addEntries('many', entries).length]
    const addMs = performance.now() - start
    refused.push(ipset.addEntries('many', [{ ...entries[0], timeoutSeconds: 5 }]).length)
    const stranger = parsePrefix('192.0.2.1')
    const listed = ipset.listSet('many')
    const timeouts = new Map(listed.map((entry) => [formatPrefix(entry.prefix), entry.timeoutSeconds]))
    // A second or two may have passed.
    const wrong = entries
      .slice(1)
      .filter(({ prefix, timeoutSeconds }) => !(timeoutSeconds - timeouts.get(formatPrefix(prefix)) < 10))
    const sets = ipset.listSets()
    const undeleted = ipset.deleteEntries('many', [...entries.map(({ prefix }) => prefix), stranger])
    return {
      addMs,
      refused,
      listed: listed.length,
      first: timeouts.get('10.0.0.0'),
      wrong: wrong.length,
      sets,
      undeleted,
      left: ipset.listSet('many').length,
    }
  },
})

/** Whatever text has the form of one: nothing else in a call does. */
function readPrefix(_, value) {
  const isPrefix = typeof value === 'string' && /^[\da-f]*[.:][\da-f:.]+(\/\d+)?$/.test(value)
  return isPrefix ? parsePrefix(value) : value
}

function writePrefix(_, value) {
  if (value === null || typeof value !== 'object' || !('bytes' in value)) return value
  return formatPrefix({ ...value, bytes: Uint8Array.from(Object.values(value.bytes)) })
}
