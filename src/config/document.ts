import {
  Composer,
  type CST,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  Parser,
  type YAMLMap,
  type YAMLParseError,
} from 'yaml'

/** Something wrong at one place of a policy file. */
export interface Problem {
  /** From 1. */
  readonly line: number
  /** From 1. */
  readonly column: number
  /** `services.ssh.ports[0]`; empty for the file as a whole. */
  readonly path: string
  readonly message: string
}

export type Path = readonly PropertyKey[]

/** A policy is five levels deep. The composer recurses: much deeper ones could exhaust its stack. */
const DEEPEST = 32

const NO_KEY = 'this is neither a key nor a value; write "key: value", with a blank behind the colon'
/** What to say instead of the parser's terse messages, by code or by message. */
const SYNTAX: Record<string, string> = {
  TAB_AS_INDENT: 'a tab indents this line; write spaces',
  MULTILINE_IMPLICIT_KEY: NO_KEY,
  'Implicit map keys need to be followed by map values': NO_KEY,
  BAD_SCALAR_START: 'a value cannot begin with this character; put the value in quotes',
}

/** A YAML file as plain values, and where each of them stands. */
export class PolicyDocument {
  /** Objects without prototype, arrays and scalars. */
  readonly value: unknown
  /** What is wrong with the YAML itself. */
  readonly problems: Problem[] = []
  readonly #lines = new LineCounter()
  /** Offsets of key and value by formatted path. */
  readonly #places = new Map<string, { key: number; value: number }>()

  /** Never throws, whatever `text` is. */
  constructor(text: string) {
    this.value = this.#read(text)
  }

  /** A problem with the value at `path`, or with its key; where neither exists, with what should hold it. */
  problem(path: Path, message: string, at: 'key' | 'value' = 'value'): Problem {
    const exact = this.#places.get(formatPath(path))
    let holder = exact
    for (let length = path.length - 1; holder === undefined; length--) {
      holder = this.#places.get(formatPath(path.slice(0, length)))
    }
    return this.#problemAt(exact === undefined ? holder.key : exact[at], message, path)
  }

  /** The plain value, or `undefined` with at least one problem. */
  #read(text: string): unknown {
    const tokens = [...new Parser(this.#lines.addNewLine).parse(text)]
    const zero = text.indexOf('\0')
    const deep = offsetBelow(tokens, DEEPEST)
    if (zero >= 0) return this.#refuse(zero, 'the file holds a NUL byte; write text in UTF-8')
    if (deep !== undefined) return this.#refuse(deep, `the nesting is deeper than ${DEEPEST} levels`)

    const documents = new Composer({ schema: 'core', uniqueKeys: false }).compose(tokens, true, text.length)
    const document = documents.next().value!
    const second = documents.next().value
    this.#refuseSyntax([...document.errors, ...document.warnings])
    if (second) this.#refuse(second.range[0], 'a second YAML document begins here; a policy is one document')
    if (this.problems.length > 0) return undefined
    this.#places.set('', { key: 0, value: 0 })
    return this.#plain(document.contents, [])
  }

  #plain(node: ParsedNode | null, path: Path): unknown {
    if (isMap(node)) return this.#plainMap(node, path)
    if (isSeq<ParsedNode>(node)) {
      return node.items.map((item, i) => {
        this.#place([...path, i], item.range[0], item)
        return this.#plain(item, [...path, i])
      })
    }
    if (isScalar(node)) return node.value
    if (node === null) return null
    // A policy has no use for aliases, and without them none can grow out of all bounds.
    this.problems.push(
      this.problem(path, 'is an alias ("*"), which a policy cannot hold; write the value itself'),
    )
    return undefined
  }

  #plainMap(map: YAMLMap.Parsed, path: Path): object {
    const object: Record<string, unknown> = Object.create(null)
    for (const { key, value } of map.items) {
      if (!isScalar(key) || key.value === '__proto__') {
        this.#refuse(key.range[0], 'this is no key; write a plain word', path)
        continue
      }
      const name = String(key.value ?? '')
      const inner = [...path, name]
      if (name in object) {
        const first = this.problem(inner, '', 'key').line
        this.#refuse(key.range[0], `is there twice; remove this one or the one in line ${first}`, inner)
        continue
      }
      this.#place(inner, key.range[0], value)
      object[name] = this.#plain(value, inner)
    }
    return object
  }

  /** What is wrong with a whole section is shown at its key. */
  #place(path: Path, key: number, value: ParsedNode | null): void {
    this.#places.set(formatPath(path), { key, value: value && !isCollection(value) ? value.range[0] : key })
  }

  /** The first error of each line: the others follow from it. */
  #refuseSyntax(errors: readonly Pick<YAMLParseError, 'code' | 'message' | 'pos'>[]): void {
    const lines = new Set<number>()
    for (const { code, message, pos } of errors.toSorted((a, b) => a.pos[0] - b.pos[0])) {
      const { line } = this.#lines.linePos(pos[0])
      if (lines.has(line)) continue
      lines.add(line)
      this.#refuse(pos[0], `no valid YAML: ${SYNTAX[code] ?? SYNTAX[message] ?? message}`)
    }
  }

  #refuse(offset: number, message: string, path: Path = []): undefined {
    this.problems.push(this.#problemAt(offset, message, path))
  }

  #problemAt(offset: number, message: string, path: Path): Problem {
    const { line, col } = this.#lines.linePos(offset)
    return { line, column: col, path: formatPath(path), message }
  }
}

/** `['services', 'ssh', 'ports', 0]` as `services.ssh.ports[0]`; odd keys are quoted, so no two paths look alike. */
function formatPath(path: Path): string {
  let formatted = ''
  for (const step of path) {
    if (typeof step === 'number') formatted += `[${step}]`
    else if (/^[A-Za-z][\w-]*$/.test(String(step))) formatted += `${formatted && '.'}${String(step)}`
    else formatted += `[${JSON.stringify(step)}]`
  }
  return formatted
}

/** Where the first token that lies more than `depth` collections deep begins. */
function offsetBelow(tokens: readonly CST.Token[], depth: number): number | undefined {
  let level = tokens.flatMap((token) => (token.type === 'document' && token.value ? [token.value] : []))
  for (let i = 0; i <= depth; i++) level = level.flatMap(children)
  return level[0]?.offset
}

function children(token: CST.Token): CST.Token[] {
  if (!('items' in token)) return []
  return token.items.flatMap(({ key, value }) => [key, value].filter((each) => !!each))
}
