import { writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CONFIG_KEYS, describeConfig, loadConfig, renderConfigReference } from "../../src/index.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const HOME = { HOME: "/home/nobody-here" };

async function withFile(text: string, env: Record<string, string> = {}, flags: Record<string, string> = {}) {
  await using place = await temporaryDirectory();
  const file = join(place.path, "config.yaml");
  await writeFile(file, text);
  return { place: place.path, config: loadConfig({ file, env: { ...HOME, ...env }, flags }) };
}

test.each(["", "here", "."])(
  "a HOME of %j leads nowhere: it would be the working directory, whoever wrote there",
  (HOME) => {
    const config = loadConfig({ env: { HOME } });
    expect(config.state.dir).toBe(join(userInfo().homedir, ".local/state/gatehouse"));
    expect(config.node.workspaceRoots).toEqual([join(userInfo().homedir, ".local/share/gatehouse/workspaces")]);
  },
);

test("without a file, variables and flags every key has its default and says so", () => {
  const config = loadConfig({ env: HOME });
  expect(config).toMatchObject({
    state: { dir: "/home/nobody-here/.local/state/gatehouse" },
    log: { level: "info", format: "json" },
    gate: { port: 0, upstreamCa: undefined, hosts: {}, connectTimeoutMs: 10_000, upstreamTimeoutMs: 600_000 },
    node: { driver: "auto", exposeCredentials: false },
  });
  expect(describeConfig(config).map(({ key }) => key)).toEqual(Object.keys(CONFIG_KEYS));
  expect(new Set(Object.values(config.sources))).toEqual(new Set(["default"]));
});

test("a flag wins over the environment, that over the file, that over the default", async () => {
  const text = "state: { dir: below }\nlog: { level: warn, format: text }\ngate:\n  workers: 3\n";
  const { config, place } = await withFile(
    text,
    { GATEHOUSE_LOG_LEVEL: "error", GATEHOUSE_GATE_WORKERS: "2" },
    { "gate.workers": "1" },
  );
  expect(config.state.dir).toBe(join(place, "below"));
  expect(config.log).toEqual({ level: "error", format: "text" });
  expect(config.gate.workers).toBe(1);
  expect(config.sources).toMatchObject({
    "state.dir": "file",
    "log.level": "environment",
    "log.format": "file",
    "gate.workers": "flag",
    "gate.port": "default",
  });
});

test("the default file is found by XDG and need not exist; one that is named must", async () => {
  await using place = await temporaryDirectory();
  await import("node:fs/promises").then(({ mkdir }) => mkdir(join(place.path, "gatehouse")));
  await writeFile(join(place.path, "gatehouse/config.yaml"), "log: { level: debug }");
  expect(loadConfig({ env: { XDG_CONFIG_HOME: place.path } }).log.level).toBe("debug");
  expect(() => loadConfig({ file: join(place.path, "absent"), env: HOME })).toThrow("is not there");
});

test.each([
  ["gate: { worker: 1 }", "gate.worker", "gate.workers"],
  ["gate: { upstreamCA: x }", "gate.upstreamCA", "gate.upstreamCa"],
  ["loging: { level: info }", "loging.level", "log.level"],
  ["log: info", "log.", "Known are"],
  ["node: { driver: { x: 1 } }", "node.driver.x", "node.driver"],
])("the unknown key of %s is refused by name with the nearest one", async (text, name, nearest) => {
  await expect(withFile(text)).rejects.toMatchObject({
    code: "config.unknown_key",
    detail: expect.stringMatching(new RegExp(`${name}.*${nearest}`.replaceAll(".", "\\.").replaceAll("\\.*", ".*"))),
  });
});

test("a misspelled variable is refused, others' variables are not", () => {
  expect(() => loadConfig({ env: { ...HOME, GATEHOUSE_GATE_WORKRES: "1" } })).toThrow("GATEHOUSE_GATE_WORKERS");
  expect(loadConfig({ env: { ...HOME, GATEHOUSE_SOMETHING: "1", GATEHOUSE_LOG_LEVEL: "" } }).log.level).toBe("info");
});

test.each([
  ["gate: { workers: two }", "gate.workers"],
  ["gate: { workers: '2' }", "gate.workers"],
  ["gate: { workers: 0 }", "gate.workers"],
  ["gate: { workers: 1.5 }", "gate.workers"],
  ["gate: { port: 65536 }", "gate.port"],
  ["gate: { hosts: [a] }", "gate.hosts"],
  ["gate: { hosts: { a: not-an-address } }", "gate.hosts"],
  ["gate: { hosts: { 'a b': 127.0.0.1 } }", "gate.hosts"],
  ["gate: { upstreamCa: 1 }", "gate.upstreamCa"],
  ["log: { level: loud }", "log.level"],
  ["node: { exposeCredentials: 'yes' }", "node.exposeCredentials"],
  ["node: { driver: }", "node.driver"],
])("%s is of a wrong type", async (text, key) => {
  await expect(withFile(text)).rejects.toMatchObject({
    code: "config.invalid",
    detail: expect.stringContaining(`${key} in `),
  });
});

test.each(["gate: [", "- a", "just text", "gate: {port: 1}\ngate: {port: 2}", "a: &x 1\nb: *x", "\u0000"])(
  "a file that is no map of sections is refused: %j",
  async (text) => {
    const detail = expect.stringMatching(/[^:]\.$/);
    await expect(withFile(text)).rejects.toMatchObject({ code: "config.invalid", detail });
  },
);

test("an empty file and an empty section set nothing", async () => {
  expect((await withFile("")).config.gate.port).toBe(0);
  expect((await withFile("gate:\n# port: 1\n")).config.gate.port).toBe(0);
});

test("wrong values in variables and flags are refused by their own name, without the value", () => {
  const env = { ...HOME, GATEHOUSE_GATE_CONNECT_TIMEOUT_MS: "secret-pasted-here" };
  expect(() => loadConfig({ env })).toThrow("GATEHOUSE_GATE_CONNECT_TIMEOUT_MS must be of type");
  expect(() => loadConfig({ env })).not.toThrow("secret-pasted-here");
  expect(() => loadConfig({ env: HOME, flags: { "gate.port": "-1" } })).toThrow("gate.port must be");
  expect(() => loadConfig({ env: HOME, flags: { "state.dir": "" } })).toThrow("--state-dir must be");
});

test("host names are read from file and environment in lower case", async () => {
  const fromFile = await withFile("gate: { hosts: { API.Example.test: 127.0.0.1, v6.test: '::1' } }");
  expect(fromFile.config.gate.hosts).toEqual({ "api.example.test": "127.0.0.1", "v6.test": "::1" });
  const env = { ...HOME, GATEHOUSE_GATE_HOSTS: "a.test=127.0.0.1, B.test=::1" };
  expect(loadConfig({ env }).gate.hosts).toEqual({ "a.test": "127.0.0.1", "b.test": "::1" });
  expect(() => loadConfig({ env: { ...HOME, GATEHOUSE_GATE_HOSTS: "a=127.0.0.1,A=::1" } })).toThrow("GATE_HOSTS");
});

test("the configuration cannot be changed after it was read", () => {
  const config = loadConfig({ env: HOME });
  expect(() => Object.assign(config.gate, { port: 1 })).toThrow(TypeError);
  expect(() => Object.assign(config.gate.hosts, { a: "b" })).toThrow(TypeError);
});

test("the reference has a row for each key, the same on every machine", () => {
  const text = renderConfigReference();
  for (const [key, { env }] of Object.entries(CONFIG_KEYS)) {
    const row = text.split("\n").find((line) => line.startsWith(`| \`${key}\` |`));
    expect(row, key).toContain(env);
    expect(row?.split("|"), key).toHaveLength(8);
  }
  expect(text).not.toContain(process.env.HOME ?? "/root");
});
