/**
 * A launcher for `Sluice.start` on nf_tables: in front of the program an iptables that refuses rules in which `part` stands, as
 * a kernel without that extension does. The kernel of a machine that runs these tests has them all.
 */
export function withoutExtension(part: string): readonly string[] {
  return ['sh', '-c', `${script(part)}\nexec "$@"`, 'sh']
}

function script(part: string): string {
  return [
    'mount -t tmpfs tmpfs /usr/local/sbin',
    'for tool in iptables-nft-restore ip6tables-nft-restore; do',
    '  cat > /usr/local/sbin/$tool <<END',
    '#!/bin/sh',
    'rules=\\$(cat)',
    `case "\\$rules" in *"${part}"*)`,
    '  echo "$tool v1.8.9 (nf_tables): line 5: RULE_APPEND failed (No such file or directory): rule in chain sluice" >&2',
    '  exit 4',
    'esac',
    'printf "%s\\\\n" "\\$rules" | /usr/sbin/$tool "\\$@"',
    'END',
    '  chmod +x /usr/local/sbin/$tool',
    'done',
  ].join('\n')
}
