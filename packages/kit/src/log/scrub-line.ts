const REDACTED = "[redacted]";

/**
 * Shapes of secrets that may stand in text whose key name says nothing. Each replacement keeps a JSON line valid: no
 * pattern eats a quote or half of an escape.
 */
const SHAPES: readonly (readonly [RegExp, string])[] = [
  // PEM private keys, whole, or to the end of the string when the rest was cut off.
  [/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:(?!-----END)(?:[^"\\]|\\.))*(?:-----END [A-Z0-9 ]*-----)?/g, REDACTED],
  // Values of authorization headers.
  [/\b(Bearer|Basic|DPoP|Digest|token)(\s+)(?=[^\s"\\]*[0-9A-Z=])[A-Za-z0-9._~+/=-]{8,}/gi, `$1$2${REDACTED}`],
  // User info in URLs.
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s"\\/@]+@/gi, `$1${REDACTED}@`],
  // GitHub, GitLab, npm, PyPI, Slack, Stripe, Linear, Sentry, Google, AWS, Anthropic and OpenAI.
  [/\bgh[a-z]_[A-Za-z0-9._-]{16,}/g, REDACTED],
  [/\bgithub_pat_[A-Za-z0-9_]{16,}/g, REDACTED],
  [/\bgl[a-z]{2,6}-[A-Za-z0-9_-]{16,}/g, REDACTED],
  [/\bnpm_[A-Za-z0-9]{16,}/g, REDACTED],
  [/\bpypi-[A-Za-z0-9_-]{16,}/g, REDACTED],
  [/\bx(?:ox[a-z]|app)-[A-Za-z0-9-]{8,}/g, REDACTED],
  [/\b(?:sk|rk|pk|whsec)[-_][A-Za-z0-9_-]{12,}/g, REDACTED],
  [/\blin_(?:api|oauth)_[A-Za-z0-9]{16,}/g, REDACTED],
  [/\bsntry[a-z]_[A-Za-z0-9_+/=-]{16,}/g, REDACTED],
  [/\bAIza[A-Za-z0-9_-]{30,}/g, REDACTED],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, REDACTED],
  // JSON Web Tokens and encrypted ones.
  [/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)+/g, REDACTED],
  // Run tokens: 32 bytes in hex.
  [/(?<![0-9A-Fa-f])[0-9A-Fa-f]{64}(?![0-9A-Fa-f])/g, REDACTED],
];

/** Overwrites what looks like a secret in one line of text, whatever key it stands under. */
export function scrubLine(line: string): string {
  return SHAPES.reduce((text, [shape, replacement]) => text.replace(shape, replacement), line);
}
