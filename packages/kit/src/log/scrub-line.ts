const REDACTED = "[redacted]";

/** Where a word begins in JSON text: after no word character, or after an escape such as `\n` that ends in one. */
const START = String.raw`(?:(?<![A-Za-z0-9_])|(?<=\\[bfnrt])|(?<=\\u[0-9a-fA-F]{4}))`;

/** Issuers' own shapes: GitHub, GitLab, npm, PyPI, Slack, Stripe and model services, Linear, Sentry, Google, AWS. */
const ISSUED = [
  "gh[a-z]_[A-Za-z0-9._-]{16,}",
  "github_pat_[A-Za-z0-9_]{16,}",
  "gl[a-z]{2,6}-[A-Za-z0-9_-]{16,}",
  "npm_[A-Za-z0-9]{16,}",
  "pypi-[A-Za-z0-9_-]{16,}",
  "x(?:ox[a-z]|app)-[A-Za-z0-9-]{8,}",
  "(?:sk|rk|pk|whsec)[-_][A-Za-z0-9_-]{12,}",
  "lin_(?:api|oauth)_[A-Za-z0-9]{16,}",
  "sntry[a-z]_[A-Za-z0-9_+/=-]{16,}",
  "AIza[A-Za-z0-9_-]{30,}",
  "(?:AKIA|ASIA)[A-Z0-9]{16}",
  // JSON Web Tokens, encrypted ones too.
  String.raw`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)+`,
] as const;

/**
 * Shapes of secrets that may stand in text whose key name says nothing. Each replacement keeps a JSON line valid: no
 * pattern eats a quote or half of an escape.
 */
const SHAPES: readonly (readonly [RegExp, string])[] = [
  // PEM private keys, whole, or to the end of the string when the rest was cut off.
  [/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:(?!-----END)(?:[^"\\]|\\.))*(?:-----END [A-Z0-9 ]*-----)?/g, REDACTED],
  // Values of authorization headers. A scheme's name in prose is followed by a plain word and stays.
  [
    new RegExp(
      String.raw`${START}(bearer|basic|dpop|digest)(\s+)(?![a-z]+(?![A-Za-z0-9._~+/=-]))[A-Za-z0-9._~+/=-]{8,}`.replaceAll(
        /bearer|basic|dpop|digest/g,
        anyCase,
      ),
      "g",
    ),
    `$1$2${REDACTED}`,
  ],
  // User info in URLs.
  [/([A-Za-z][A-Za-z0-9+.-]*:\/\/)[^\s"\\/@]+@/g, `$1${REDACTED}@`],
  [new RegExp(`${START}(?:${ISSUED.join("|")})`, "g"), REDACTED],
  // Run tokens: 32 bytes in hex.
  [new RegExp(`(?:(?<![0-9A-Fa-f])|${START})[0-9A-Fa-f]{64}(?![0-9A-Fa-f])`, "g"), REDACTED],
];

/** Overwrites what looks like a secret in one line of text, whatever key it stands under. */
export function scrubLine(line: string): string {
  return SHAPES.reduce((text, [shape, replacement]) => text.replace(shape, replacement), line);
}

/** Header schemes are compared without case; the rest of their pattern is not. */
function anyCase(word: string): string {
  return word.replaceAll(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`);
}
