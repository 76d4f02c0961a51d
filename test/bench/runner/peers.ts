import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

const DIRECTORY = new URL('../peers/', import.meta.url).pathname
const NODE_GYP = new URL('../../../node_modules/node-gyp/bin/node-gyp.js', import.meta.url).pathname

export type Peer = 'cap' | 'nfqueue'

/**
 * The directory of a native npm package that is installed for the benches only, built where it is not.
 *
 * @returns why there is none if that fails.
 */
export function peer(name: Peer): { directory: string } | { missing: string } {
  const directory = join(DIRECTORY, 'node_modules', name)
  try {
    if (!existsSync(join(directory, 'package.json'))) {
      run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], DIRECTORY)
    }
    if (!existsSync(join(directory, `build/Release/${name}.node`))) {
      run(process.execPath, [NODE_GYP, 'rebuild', ...headers()], directory)
    }
    return { directory }
  } catch (error) {
    const why = (error as { stderr?: string }).stderr
      ?.trim()
      .split('\n')
      .findLast((line) => /error/i.test(line))
    return {
      missing: `left out: the npm package ${name} cannot be built here: ${why ?? (error as Error).message}`,
    }
  }
}

/** A distribution's Node brings its headers along; for any other node-gyp downloads them. */
function headers(): string[] {
  const prefix = resolve(dirname(process.execPath), '..')
  return existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : []
}

function run(command: string, args: string[], cwd: string): void {
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
