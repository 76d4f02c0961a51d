#!/usr/bin/env node
import { CommanderError } from 'commander'
import { createProgram } from './cli/program.ts'
import { readVersion } from './control/version.ts'
import { EXIT, Failure } from './failure.ts'
import { NetlinkError } from './kernel/netlink-error.ts'
import { systemReason } from './system-reason.ts'

// A reader that has seen enough ("sluice bans list | head") is no error of ours; a full disk is one.
let unwritten: Error | undefined
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') unwritten ??= error
  })
}

const status = await main(process.argv.slice(2))
// A pipe takes 64 KiB at once; the rest of a long list would be lost with the process.
await Promise.all([process.stdout, process.stderr].map(drained))
process.exit(status === EXIT.ok && unwritten !== undefined ? reportUnwritten(unwritten) : status)

/** Resolves when everything written is out, or nobody reads it any more. */
function drained(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()))
}

async function main(argv: readonly string[]): Promise<number> {
  try {
    const program = await createProgram(argv, readVersion())
    await program.parseAsync(argv, { from: 'user' })
    return EXIT.ok
  } catch (error) {
    // Commander has written its message already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    report(error)
    if (error instanceof NetlinkError) return EXIT.osError
    return error instanceof Failure ? error.status : EXIT.software
  }
}

function reportUnwritten(error: Error): number {
  console.error(`sluice: cannot write what was asked for: ${systemReason(error)}`)
  return EXIT.cannotCreate
}

function report(error: unknown): void {
  if (error instanceof NetlinkError) {
    console.error(`sluice: ${error.message}`)
    return
  }
  if (!(error instanceof Failure)) {
    console.error(`sluice: a defect in sluice: ${error instanceof Error ? error.stack : String(error)}`)
    return
  }
  for (const line of error.message.split('\n')) console.error(`sluice: ${line}`)
  if (error.remedy !== undefined) console.error(`  ${error.remedy}`)
}
