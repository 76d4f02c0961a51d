/** Writes a command's answer: one line of JSON if that was asked for, else `text`, or what it makes. */
export function show(options: { readonly json?: true }, json: unknown, text: string | (() => string)): void {
  console.log(options.json ? JSON.stringify(json) : typeof text === 'string' ? text : text())
}
