/** For each field, whether a value may stand there. */
type Checks<Value> = { readonly [Field in keyof Value]: (value: unknown) => value is Value[Field] }

/**
 * Whether a value from the store is an object with just these fields, each as its check wants it. By hand: a
 * start looks at 130,000 of them, and what a schema allocates for each costs more than all the rest.
 */
export function shape<Value extends object>(checks: Checks<Value>): (value: unknown) => value is Value {
  const entries = Object.entries(checks) as [keyof Value, (value: unknown) => boolean][]
  return (value): value is Value => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
    let fields = 0
    for (const field in value) if (Object.hasOwn(value, field)) fields++
    if (fields !== entries.length) return false
    for (const [field, isValid] of entries) if (!isValid((value as Value)[field])) return false
    return true
  }
}

/** JSON knows no other numbers than finite ones, but for those that are too large to be one. */
export function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

/** A whole number from `least` on. */
export function isCount(least: number): (value: unknown) => value is number {
  return (value): value is number => Number.isSafeInteger(value) && (value as number) >= least
}

export function isOneOf<Text extends string>(texts: readonly Text[]): (value: unknown) => value is Text {
  return (value): value is Text => texts.includes(value as Text)
}
