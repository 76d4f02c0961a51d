import type { MailServerOptions } from './mail-server.ts'
import type { SshServerOptions } from './ssh-server.ts'

const LEGAL = 'This system is for authorised users only. All activity is monitored and recorded.\n'
const MOTD = `${'Welcome to Example Linux 12 (GNU/Linux 6.1.0-18-amd64 x86_64)\n'.repeat(4)}\n2 updates can be applied.\n`
const DEFAULT_KEYS = ['rsa', 'ecdsa', 'ed25519'] as const

/** As administrators have them: Debian's defaults, and what hardening guides advise. */
export const SSH_SERVERS: Readonly<Record<string, SshServerOptions>> = {
  debian: { program: 'openssh', hostKeys: DEFAULT_KEYS, options: [], pam: true, motd: MOTD, banner: '' },
  'no PAM': { program: 'openssh', hostKeys: DEFAULT_KEYS, options: [], pam: false, motd: MOTD, banner: '' },
  'one key': { program: 'openssh', hostKeys: ['ed25519'], options: [], pam: false, motd: '', banner: '' },
  banner: {
    program: 'openssh',
    hostKeys: DEFAULT_KEYS,
    options: ['MaxAuthTries 10', 'LoginGraceTime 60', 'Compression no'],
    pam: false,
    motd: MOTD,
    banner: LEGAL.repeat(8),
  },
  'old and large': {
    program: 'openssh',
    hostKeys: ['rsa-4096'],
    options: ['MACs hmac-sha2-512,hmac-sha2-256', 'Ciphers aes256-ctr,aes128-ctr', 'MaxAuthTries 3'],
    pam: true,
    motd: '',
    banner: LEGAL,
  },
  // As the guides of ssh-audit advise for OpenSSH 9.2: it says less before a login than any other.
  hardened: {
    program: 'openssh',
    hostKeys: ['ed25519'],
    options: [
      'KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org',
      'Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes256-ctr',
      'MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-256',
      'HostKeyAlgorithms ssh-ed25519',
    ],
    pam: false,
    motd: '',
    banner: '',
  },
  // OpenSSH's own default and that of many distributions: passwords by way of PAM's conversation.
  'keyboard-interactive': {
    program: 'openssh',
    hostKeys: DEFAULT_KEYS,
    options: ['KbdInteractiveAuthentication yes'],
    pam: true,
    motd: '',
    banner: '',
  },
  'hardened, two keys': {
    program: 'openssh',
    hostKeys: ['rsa-4096', 'ed25519'],
    options: [
      'KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org,diffie-hellman-group16-sha512',
      'Ciphers aes256-gcm@openssh.com,aes256-ctr',
      'MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-512',
      'HostKeyAlgorithms ssh-ed25519,rsa-sha2-512',
      'MaxAuthTries 3',
    ],
    pam: false,
    motd: '',
    banner: 'Debian GNU/Linux 12\n',
  },
  // As for backups: whoever is in gets one answer, and a short one.
  'forced command': {
    program: 'openssh',
    hostKeys: ['ed25519'],
    options: ['ForceCommand true', 'PermitTTY no', 'AllowTcpForwarding no'],
    pam: false,
    motd: '',
    banner: '',
  },
  dropbear: { program: 'dropbear', hostKeys: DEFAULT_KEYS, options: [], pam: false, motd: MOTD, banner: '' },
  'dropbear, one key': {
    program: 'dropbear',
    hostKeys: ['ed25519'],
    options: ['-m'],
    pam: false,
    motd: '',
    banner: LEGAL,
  },
}

export const MAIL_SERVERS: Readonly<Record<string, MailServerOptions>> = {
  cyrus: { sasl: 'cyrus', key: 'rsa:2048', chain: 0, options: [] },
  dovecot: { sasl: 'dovecot', key: 'rsa:2048', chain: 1, options: [] },
  'cyrus, strict': {
    sasl: 'cyrus',
    key: 'ec -pkeyopt ec_paramgen_curve:prime256v1',
    chain: 2,
    options: [
      'smtpd_banner = $myhostname ESMTP',
      'smtpd_hard_error_limit = 3',
      'disable_vrfy_command = yes',
      'smtpd_helo_required = yes',
    ],
  },
  'dovecot, wordy': {
    sasl: 'dovecot',
    key: 'rsa:4096',
    chain: 2,
    options: [
      'smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU) -- No unsolicited mail, all use is logged, see https://example.test/policy',
      'smtpd_error_sleep_time = 0',
      'smtpd_discard_ehlo_keywords = chunking, dsn',
    ],
  },
}
