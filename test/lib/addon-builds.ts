import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Host } from './lab.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PROGRAMS = fileURLToPath(new URL('../addon/programs', import.meta.url))

/** A build of the addon, and the environment in which Node loads it. */
export interface AddonBuild {
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  /** Libraries that must be loaded before Node itself. */
  readonly preload: readonly string[]
}

/**
 * The two builds that every test of the addon runs against, built if need be. The second has
 * AddressSanitizer, UndefinedBehaviorSanitizer and LeakSanitizer in it: any finding ends the process
 * with a status of 99 and a report on standard error.
 */
export function addonBuilds(): AddonBuild[] {
  for (const configuration of ['Release', 'Debug']) {
    execFileSync(`${ROOT}/packaging/build-addon`, [configuration], { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  return [
    { name: 'the release build', env: {}, preload: [] },
    {
      name: 'the build with AddressSanitizer',
      env: {
        SLUICE_ADDON: `${ROOT}/build/Debug/nfqueue.node`,
        ASAN_OPTIONS: 'exitcode=99:detect_leaks=1:malloc_context_size=2',
        LSAN_OPTIONS: `exitcode=99:print_suppressions=0:suppressions=${ROOT}/test/addon/leaks.supp`,
        UBSAN_OPTIONS: 'exitcode=99:halt_on_error=1:print_stacktrace=1',
      },
      preload: [compilerLibrary('libasan.so'), compilerLibrary('libubsan.so')],
    },
  ]
}

function compilerLibrary(name: string): string {
  return execFileSync('c++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim()
}

/** Compiles test/addon/fault.c, whose wrappers of system calls obey the environment variable FAULT. */
export function buildFaultLibrary(): string {
  const library = `${ROOT}/build/fault.so`
  const source = `${ROOT}/test/addon/fault.c`
  execFileSync('cc', [
    '-shared',
    '-fPIC',
    '-O1',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-o',
    library,
    source,
    '-ldl',
  ])
  return library
}

export interface ProgramOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly preload?: readonly string[]
  /** Command line in front of `node`, such as `setpriv`. */
  readonly wrapper?: readonly string[]
}

/** Runs test/addon/programs/`program` on `host`; returns the JSON that it prints. @throws Error unless it exits 0. */
export async function runProgram<T>(
  host: Host,
  build: AddonBuild,
  [program, ...args]: readonly [string, ...string[]],
  options: ProgramOptions = {},
): Promise<T> {
  const env: Record<string, string> = { ...build.env, ...options.env }
  const preload = [...build.preload, ...(options.preload ?? [])]
  if (preload.length > 0) env.LD_PRELOAD = preload.join(':')
  const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const command = [...(options.wrapper ?? []), process.execPath, `${PROGRAMS}/${program}.mjs`, ...args]
  const { status, stdout, stderr } = await host.attempt('env', ...assignments, ...command)
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} exited with ${status}:\n${stdout}${stderr}`)
  return JSON.parse(stdout) as T
}
