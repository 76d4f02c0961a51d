export interface Column {
  readonly title: string
  /** Numbers stand at the right. */
  readonly align?: 'right'
}

/** Rows of text under their titles, each column as wide as its widest cell. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const lines = [columns.map(({ title }) => title), ...rows]
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)))
  return lines
    .map((line) =>
      columns
        .map(({ align }, i) => {
          const cell = line[i] ?? ''
          return align === 'right' ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
