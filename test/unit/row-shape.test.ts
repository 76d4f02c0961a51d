import { describe, expect, test } from 'vitest'
import { isCount, isNumber, isOneOf, shape } from '../../src/control/row-shape.ts'

const isBan = shape<{ since: number; count: number; origin: 'strikes' | 'manual' }>({
  since: isNumber,
  count: isCount(1),
  origin: isOneOf(['strikes', 'manual']),
})
const GOOD = { since: -1.5, count: 1, origin: 'manual' }

describe('a value from the store', () => {
  test('is taken when it is just what it should be', () => expect(isBan(GOOD)).toBe(true))

  test.each<[string, unknown]>([
    ['null', null],
    ['a text', '{}'],
    ['a list', [1, 2, 3]],
    ['nothing', {}],
    ['a field less', { since: 1, count: 1 }],
    ['a field more', { ...GOOD, more: 1 }],
    ['another name', { since: 1, count: 1, Origin: 'manual' }],
    ['a field of its prototype alone', Object.create(GOOD)],
    ['a text for a number', { ...GOOD, since: '1' }],
    ['no finite number', { ...GOOD, since: JSON.parse('1e999') }],
    ['a fraction for a count', { ...GOOD, count: 1.5 }],
    ['a count below the least', { ...GOOD, count: 0 }],
    ['a count beyond what is exact', { ...GOOD, count: 2 ** 53 }],
    ['a word that is none of them', { ...GOOD, origin: 'toString' }],
  ])('is refused when it is %s', (_, value) => expect(isBan(value)).toBe(false))
})
