import { Argument, Command, InvalidArgumentError } from 'commander'

/**
 * The command line of one of the project's own programs. What is typed wrong is named, and ends it with 64, as it
 * does the commands of sluice.
 *
 * @param name as one types it
 */
export function tool(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .showHelpAfterError(`"${name} --help" says more`)
    .exitOverride(({ exitCode }) => process.exit(exitCode === 1 ? 64 : exitCode))
}

/** Ends `program` with 77 for whoever may not make network namespaces. */
export function requireRoot(program: Command): void {
  if (process.getuid?.() !== 0)
    program.error('error: it makes network namespaces: run it as root', { exitCode: 77 })
}

/** Any of `names`; none means all. */
export function anyOf(names: readonly string[], description: string): Argument {
  return new Argument('[NAME...]', description).choices(names).default([], 'all')
}

/** Parses a number from `least` on. */
export function numberFrom(least: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text)
    if (value >= least && Number.isFinite(value)) return value
    throw new InvalidArgumentError(`It must be a number, ${least} or more.`)
  }
}
