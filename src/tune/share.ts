/** A share as people write it: `99.9 %`. */
export function formatShare(share: number): string {
  return `${Number((share * 100).toFixed(6))} %`
}
