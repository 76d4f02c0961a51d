import { type Html, html } from './html.ts'

/**
 * A table that scrolls by itself where the page is too narrow for it.
 *
 * @param titles those that begin with `>` stand at the right, with their column.
 * @param rows the first cell of each names the row.
 */
export function table(
  caption: string,
  titles: readonly string[],
  rows: readonly (readonly string[])[],
): Html {
  const columns = titles.map((title) =>
    title.startsWith('>') ? { title: title.slice(1), side: 'right' } : { title, side: 'left' },
  )
  const row = ([name = '', ...cells]: readonly string[]) =>
    html`<tr><th scope="row">${name}</th>${cells.map((cell, i) => html`<td class="${columns[i + 1]!.side}">${cell}</td>`)}</tr>`
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table>
<caption>${caption}</caption>
<thead><tr>${columns.map(({ title, side }) => html`<th scope="col" class="${side}">${title}</th>`)}</tr></thead>
<tbody>
${rows.map(row)}
</tbody>
</table></div>`
}
