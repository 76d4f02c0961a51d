/** Number of the group `name` in the text of /etc/group, or `undefined`. */
export function groupId(groups: string, name: string): number | undefined {
  const line = groups.split('\n').find((each) => each.startsWith(`${name}:`))
  const id = Number(line?.split(':')[2] || Number.NaN)
  return Number.isInteger(id) ? id : undefined
}
