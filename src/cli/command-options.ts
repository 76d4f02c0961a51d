import { Option } from 'commander'

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
