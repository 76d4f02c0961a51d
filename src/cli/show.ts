/** Writes a command's answer: one line of JSON if that was asked for, else `text`. */
export function show(options: { readonly json?: true }, json: unknown, text: string): void {
  console.log(options.json ? JSON.stringify(json) : text)
}
