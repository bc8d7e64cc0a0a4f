/** A bug to be planted into a copy of the source: a place in a file that must stand there once, and what it becomes. */
export interface Plant {
  readonly target: string;
  readonly bug: string;
  /** Below `packages/`. */
  readonly file: string;
  readonly anchor: string;
  readonly becomes: string;
}

export const PLANTS: readonly Plant[] = [
  {
    target: "requests",
    bug: "a length beside a transfer coding is overlooked",
    file: "gate/src/http1/message-framing.ts",
    anchor: 'if (length !== undefined) return refused("both length and transfer coding");',
    becomes: "",
  },
  {
    target: "requests",
    bug: "any two bytes end a chunk",
    file: "gate/src/http1/chunked-reader.ts",
    anchor: "if (byte === expected) this.#state = next;",
    becomes: "if (byte >= 0) this.#state = next;",
  },
  {
    target: "requests",
    bug: "a line may end in a line feed where a head comes in one piece",
    file: "gate/src/http1/head-lines.ts",
    anchor: 'if (end < line.from || head.bytes[end] !== CR) return "bare line feed";',
    becomes: 'if (end < line.from) return "bare line feed";',
  },
  {
    target: "answers",
    bug: "the answer to HEAD has the body that its length states",
    file: "gate/src/http1/message-framing.ts",
    anchor: 'if (status === 304 || method === "HEAD") return NONE;',
    becomes: "if (status === 304) return NONE;",
  },
  {
    target: "answers",
    bug: "204 has a body up to the connection's end",
    file: "gate/src/http1/message-framing.ts",
    anchor: "if (status < 200 || status === 204) {",
    becomes: "if (status < 200) {",
  },
  {
    target: "pipeline",
    bug: "Host is not compared with the tunnel",
    file: "gate/src/pipeline/check-destination.ts",
    anchor: 'for (const stated of [...target, ...read(getField(head.fields, "host"))]) {',
    becomes: "for (const stated of target) {",
  },
  {
    target: "pipeline",
    bug: "a credential goes to every port and host",
    file: "gate/src/worker/compile-run.ts",
    anchor: "const injections = this.#injections.filter((one) => matchHostPattern(one.host, host, port));",
    becomes: "const injections = this.#injections;",
  },
  {
    target: "policy",
    bug: "the rules of a wildcard are looked up for one level of names",
    file: "core/src/policy/rule-index.ts",
    anchor: 'dot = host.indexOf(".", dot + 1)',
    becomes: "dot = -1",
  },
  {
    target: "policy",
    bug: "a wildcard for one segment matches any number",
    file: "core/src/policy/path-pattern.ts",
    anchor: "    if (segment === ANY) {",
    becomes: "    if (segment === ANY || segment === ONE) {",
  },
  {
    target: "policy-file",
    bug: "an alias of nothing leaves as something that is no Problem",
    file: "cli/src/policy/policy-file.ts",
    anchor: "or one of nothing.`, cause });",
    becomes: "or one of nothing.`, cause }).cause;",
  },
  {
    target: "registration",
    bug: "a header's value may hold another line",
    file: "gate/src/registry/parse-registration.ts",
    anchor: ".regex(/^[\\t\\x20-\\x7e]*$/);",
    becomes: ".regex(/^[\\t\\x20-\\x7e]*$/m);",
  },
  {
    target: "registration",
    bug: "a member without a value is read as an object",
    file: "gate/src/registry/parse-registration.ts",
    anchor:
      'typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("the body is no object");',
    becomes: 'typeof value !== "object" || Array.isArray(value)) throw malformed("the body is no object");',
  },
  {
    target: "scrubber",
    bug: "one byte too few is held back",
    file: "gate/src/scrub/sought-values.ts",
    anchor: "Math.max(value.length - 1,",
    becomes: "Math.max(value.length - 2,",
  },
  {
    target: "scrubber",
    bug: "values that overlap are looked for once",
    file: "gate/src/scrub/value-finder.ts",
    anchor: "last += skip === 0 ? 1 : skip;",
    becomes: "last += skip === 0 ? window : skip;",
  },
  {
    target: "hosts",
    bug: "an octal part is read as a decimal one",
    file: "core/src/destination/ipv4.ts",
    anchor: "return Number.parseInt(part, 8);",
    becomes: "return Number.parseInt(part, 10);",
  },
  {
    target: "audit",
    bug: "a head's root is not compared",
    file: "core/src/audit/audit-verifier.ts",
    anchor: "if (!constantTimeEqual(head.root, this.#tree.root())) {",
    becomes: "if (head.root.length !== 32) {",
  },
];
