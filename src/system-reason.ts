/** What the system says of a failed call, without the call, which helps nobody: "ENOSPC: no space left on device". */
export function systemReason(error: unknown): string {
  const { message = String(error) } = error as Partial<Error>
  return message.split(',', 1)[0]!
}
