import { existsSync } from 'node:fs'
import { InvalidArgumentError, Option } from 'commander'
import { type Prefix, parsePrefix } from '../net/prefix.ts'

/** Options of the commands that ask the daemon. */
export interface AskOptions {
  readonly socket: string
  readonly json?: true
}

export function socketOption(): Option {
  return new Option('-s, --socket <path>', "the daemon's control socket").default('/run/sluice/control.sock')
}

export function jsonOption(): Option {
  return new Option('--json', 'one line of JSON instead of text')
}

/**
 * @param hint what to do when a capture was meant
 * @param captures where the option itself may be followed by captures: gets those that are no address
 */
export function localOption(hint: string, captures?: string[]): Option {
  const prefix = (text: string, previous: readonly Prefix[] = []): readonly Prefix[] => {
    try {
      return [...previous, parsePrefix(text)]
    } catch (error) {
      if (captures !== undefined && previous.length > 0 && (text === '-' || existsSync(text))) {
        captures.push(text)
        return previous
      }
      throw new InvalidArgumentError(`${(error as Error).message}${/[./]/.test(text) ? `; ${hint}` : ''}`)
    }
  }
  return new Option(
    '--local <prefixes...>',
    'addresses of this host: what goes there is inbound (default: inferred from the captures)',
  ).argParser(prefix)
}
