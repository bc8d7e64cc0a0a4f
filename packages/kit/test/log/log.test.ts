import { spawnSync } from "node:child_process";
import { Problem, Secret } from "@gatehouse/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createLog, type LogLevel, scrubLine } from "../../src/index.ts";

const CANARY = "planted-canary-value";

function capture(options: { level?: LogLevel; format?: "json" | "text" } = {}) {
  const lines: string[] = [];
  const log = createLog({ level: "debug", format: "json", ...options, write: (line) => lines.push(line) });
  return { log, lines, text: () => lines.join(""), last: () => JSON.parse(lines.at(-1) ?? "") };
}

test("a line holds time, level, message and fields, and nothing of the machine", () => {
  const { log, last } = capture();
  log.child({ process: "gate" }).info("node started", { port: 1, name: "n" });
  expect(last()).toEqual({
    level: "info",
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    process: "gate",
    port: 1,
    name: "n",
    msg: "node started",
  });
});

test("what is lighter than the level is not written", () => {
  const { log, lines } = capture({ level: "warn" });
  log.debug("a");
  log.info("b");
  log.warn("c");
  log.error("d");
  expect(lines).toHaveLength(2);
});

test("values under telling key names are gone at any depth, in maps, lists, errors and children", () => {
  const { log, text } = capture();
  const names = ["Authorization", "auth_token", "proxy-authorization", "apiKey", "x-api-key", "PASSWORD", "privateKey"];
  const nested = names.map((name) => ({ deep: [{ deeper: { [name]: CANARY, list: [{ [name]: [CANARY] }] } }] }));
  log.info("nested", { nested, map: new Map([["session_token", CANARY]]), set: new Set([{ secret: CANARY }]) });
  log.child({ token: CANARY }).info("child");
  log.info("error", { failure: Object.assign(new Error("no"), { response: { headers: { cookie: CANARY } } }) });
  log.info("wrapped", { wrapped: new Secret(CANARY), bytes: Buffer.from(CANARY) });
  log.info("url", { url: new URL(`https://u:${CANARY}@host/path?q=${CANARY}`) });
  expect(text()).not.toContain(CANARY);
  expect(text()).not.toContain(Buffer.from(CANARY).toString("base64"));
});

const HEX_TOKEN = "0123456789abcdef".repeat(4);
const PLANTED = [
  HEX_TOKEN,
  `Bearer ${CANARY}`,
  `basic ${Buffer.from(`x:${CANARY}`).toString("base64")}`,
  `https://user:${CANARY}@example.com/`,
  "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
  "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
  "glpat-abcdefghijklmnopqrst",
  "sk-ant-api03-abcdefghijklmnop",
  "sk_live_abcdefghijklmnop",
  "xoxb-123456789012-abcdefghij",
  "npm_abcdefghijklmnopqrstuvwxyz0123456789",
  "pypi-AgEIcHlwaS5vcmcabcdefghij",
  "lin_api_abcdefghijklmnopqrst",
  "sntryu_abcdefghijklmnopqrstuvwxyz",
  "AIzaSyA0123456789abcdefghijklmnopqrstuv",
  "AKIAIOSFODNN7EXAMPLE",
  "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
  "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----",
  "-----BEGIN EC PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49",
];

test.each(PLANTED)("%s is overwritten wherever it stands", (planted) => {
  const essence =
    planted
      .replace(/^(?:bearer|basic) |^https:\/\/user:|@example.com\/$/gi, "")
      .split("\n")
      .at(-1) ?? "";
  const core = planted.startsWith("-----") ? "MIGHAgEAMBMGByqGSM49" : essence;
  const { log, lines, text } = capture();
  for (const around of ["", "x ", "line\n", "\t", '"', "\\", "é", "{", "key=", "\u0001"]) {
    log.info("odd", { note: `${around}${planted}`, after: "kept" });
    log.info("odd", { note: JSON.stringify({ line: `${around}${planted}${around}` }), after: "kept" });
    log.error("failed", {
      failure: new Error(`${around}${planted}`, { cause: new Problem("internal", { cause: planted }) }),
    });
  }
  expect(text()).not.toContain(core);
  for (const line of lines.filter((text) => text.includes('"odd"')))
    expect(JSON.parse(line)).toMatchObject({ after: "kept" });
});

test("prose that only names a scheme or a digest's beginning stays readable", () => {
  for (const prose of ["basic authentication failed", "the bearer presented nothing", "commit 0123456789abcdef"]) {
    expect(scrubLine(prose)).toBe(prose);
  }
});

test("a scrubbed line is still JSON, whatever stands around the secret", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "binary" }),
      fc.constantFrom(...PLANTED),
      fc.string({ unit: "binary" }),
      (a, planted, b) => {
        const { log, last } = capture();
        log.info("m", { a: `${a}${planted}${b}`, b: "kept" });
        expect(last()).toMatchObject({ b: "kept", msg: "m" });
      },
    ),
    { numRuns: 300 },
  );
});

test("circles, depth, odd values and names of the line's own parts cannot break a line", () => {
  const { log, last } = capture();
  const circle: Record<string, unknown> = { n: 1n, u: undefined, f: () => 1, d: new Date(Number.NaN), inf: Number.NaN };
  circle.self = circle;
  let deep: Record<string, unknown> = {};
  for (let depth = 0; depth < 100; depth += 1) deep = { deep };
  log.info("m", { circle, deep, level: "fake", msg: "fake", time: 0, long: "x".repeat(100_000), __proto__: { a: 1 } });
  expect(last()).toMatchObject({ level: "info", msg: "m", field_level: "fake", field_msg: "fake", field_time: 0 });
  expect(JSON.stringify(last()).length).toBeLessThan(20_000);
});

test("the format for people is one line, with control characters shown and not sent", () => {
  const { log, text } = capture({ format: "text" });
  log.warn("node slow", { ms: 12, name: "a b", path: "/x/y", evil: "\u001b[31m\u009b31m\nnext" });
  expect(text()).toMatch(/^\d\d:\d\d:\d\d WARN {2}node slow {2}ms=12 name="a b" path=\/x\/y evil="[^\n]*"\n$/);
  expect(text()).not.toContain("\u001b");
  expect(text()).not.toContain("\u009b");
});

test("every line is on stderr when the process exits at once", () => {
  const source = new URL("../../src/index.ts", import.meta.url).href;
  const script = `import { createLog } from ${JSON.stringify(source)};
    const log = createLog({ level: "info", format: "json" });
    for (let n = 0; n < 2000; n += 1) log.info("line", { n });
    process.exit(0);`;
  const done = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  expect(done.stdout).toBe("");
  expect(done.stderr.trim().split("\n")).toHaveLength(2_000);
});
