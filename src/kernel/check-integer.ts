/** @throws RangeError that names `option`, what is allowed and what came instead. */
export function checkInteger(option: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${option} must be a whole number from ${min} to ${max}: it is ${value}`)
  }
}
