/**
 * What a child process needs to find its way, and nothing that could hold a secret, load code into it (NODE_OPTIONS),
 * loosen its checks (NODE_TLS_REJECT_UNAUTHORIZED) or make it write more than its log (NODE_DEBUG).
 */
const PASSED = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "LANG",
  "LANGUAGE",
  "TERM",
  "COLORTERM",
  "TZ",
  "TMPDIR",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
] as const;
const PASSED_PREFIXES = ["LC_", "XDG_"] as const;

/** The environment for every process that we start: a short list from ours, and `extra`. */
export function childEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && isPassed(name)) kept[name] = value;
  }
  return { ...kept, ...extra };
}

function isPassed(name: string): boolean {
  return PASSED.some((passed) => passed === name) || PASSED_PREFIXES.some((prefix) => name.startsWith(prefix));
}
