import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openNodeKey } from "../../src/credentials/node-key.ts";
import { sealInlineValues } from "../../src/holder/build-snapshot.ts";
import { parseRegistration } from "../../src/registry/parse-registration.ts";
import type { InlineValues } from "../../src/registry/registered-run.ts";
import { hashToken } from "../../src/worker/identify-run.ts";
import { addGrant, INLINE_VALUE, openRegistry, registration } from "./registry-under-test.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gatehouse-compatibility-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** A body as a tool in a language with structs writes it: everything stated, lists that are nil as null. */
const FULL = {
  run_id: "run_01HV6Z",
  auth_token: "",
  credentials: [
    { host: "api.example.test", header: "Authorization", value: INLINE_VALUE, grant: "example" },
    { host: "b.example.test:8443", header: "X-Api-Key", value: "planted-b-0123456789", grant: "" },
  ],
  extra_headers: [{ host: "api.example.test", header_name: "X-Version", value: "2024-01-01" }],
  remove_headers: [{ host: "api.example.test", header_name: "X-Api-Key" }],
  token_substitutions: [
    { host: "c.example.test", placeholder: "placeholder-0001", real_token: "planted-c-0123456789" },
  ],
  response_transformers: [{ host: "api.example.test", kind: "oauth-endpoint-workaround" }],
  mcp_servers: [
    { name: "docs", url: "https://api.example.test/mcp", auth: { grant: "example", header: "Authorization" } },
    { name: "open", url: "http://d.example.test:8080", auth: null },
  ],
  network_policy: "permissive",
  network_allow: ["api.example.test", "*.cdn.example.test"],
  network_rules: [
    { host: "api.example.test", rules: [{ action: "deny", method: "DELETE", path_pattern: "/**" }] },
    { host: "b.example.test", rules: null },
  ],
  grants: ["stored"],
  aws_config: null,
  policy_yaml: null,
  policy_rule_sets: null,
};

const FULL_READ = {
  runId: "run_01HV6Z",
  token: undefined,
  credentials: [
    { host: "api.example.test", header: "authorization", value: INLINE_VALUE, grant: "example" },
    { host: "b.example.test:8443", header: "x-api-key", value: "planted-b-0123456789", grant: undefined },
  ],
  slots: [
    {
      grant: undefined,
      host: "c.example.test",
      header: "authorization",
      placeholder: "placeholder-0001",
      value: "planted-c-0123456789",
    },
  ],
  transformers: [{ host: "api.example.test", kind: "oauth-endpoint-workaround" }],
  mcpServers: [
    { name: "docs", url: "https://api.example.test/mcp", auth: { grant: "example", header: "authorization" } },
    { name: "open", url: "http://d.example.test:8080", auth: undefined },
  ],
  extraHeaders: [{ host: "api.example.test", name: "X-Version", value: "2024-01-01" }],
  removeHeaders: [{ host: "api.example.test", name: "x-api-key" }],
  grants: ["stored"],
  policy: {
    mode: "permissive",
    hostRules: [
      { host: "api.example.test", rules: [{ action: "deny", method: "DELETE", pathPattern: "/**" }] },
      { host: "b.example.test", rules: [] },
    ],
    allow: ["api.example.test", "*.cdn.example.test"],
  },
};

/** Spells every key anew, at every depth. */
function respell(value: unknown, spell: (key: string) => string): unknown {
  if (Array.isArray(value)) return value.map((one) => respell(one, spell));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [spell(key), respell(one, spell)]));
}

/** Adds what a later version of the caller might say, at every depth. */
function withNewerFields(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withNewerFields);
  if (typeof value !== "object" || value === null) return value;
  const known = Object.entries(value).map(([key, one]) => [key, withNewerFields(one)]);
  return Object.fromEntries([...known, ["introduced_later", { deep: [{ er: true }] }]]);
}

describe("a registration by an older or newer tool", () => {
  test("that states every field is read in full", () => {
    expect(parseRegistration(FULL)).toEqual(FULL_READ);
  });

  test.each([
    ["upper case", (key: string) => key.toUpperCase()],
    ["capitals", (key: string) => key.replace(/(?:^|_)[a-z]/g, (start) => start.toUpperCase())],
    ["alternating case", (key: string) => key.replace(/../g, (pair) => `${pair[0]?.toUpperCase()}${pair[1]}`)],
  ])("is read the same with its keys in %s", (_, spell) => {
    expect(parseRegistration(respell(FULL, spell))).toEqual(FULL_READ);
  });

  test("with keys in camel case has said nothing by them: without an id it is refused, and it opens nothing", () => {
    expect(() => parseRegistration({ runId: "r1" })).toThrow(expect.objectContaining({ code: "api.malformed" }));
    const loose = { run_id: "r1", networkPolicy: "permissive", networkAllow: ["a.test"] };
    expect(parseRegistration(loose).policy).toEqual({ mode: "strict", hostRules: [], allow: [] });
  });

  test("is read the same with fields that nobody knows yet, at every depth", () => {
    expect(parseRegistration(withNewerFields(FULL))).toEqual(FULL_READ);
  });

  test("that knows few fields, and writes the others as nothing in any of its forms, has a strict run", () => {
    const names = Object.keys(FULL).filter((name) => name !== "run_id");
    const nothing = {
      credentials: [],
      slots: [],
      transformers: [],
      mcpServers: [],
      extraHeaders: [],
      removeHeaders: [],
      grants: [],
      policy: { mode: "strict", hostRules: [], allow: [] },
    };
    expect(parseRegistration({ run_id: "r1" })).toMatchObject(nothing);
    const isText = (name: string) => ["auth_token", "network_policy", "policy_yaml"].includes(name);
    for (const empty of [null, (name: string) => (isText(name) ? "" : [])]) {
      const said = names.map((name) => [name, typeof empty === "function" ? empty(name) : empty]);
      expect(parseRegistration({ run_id: "r1", ...Object.fromEntries(said) })).toMatchObject(nothing);
    }
    const zero = { role_arn: "", region: "", session_duration: 0, external_id: "" };
    expect(parseRegistration({ run_id: "r1", aws_config: zero })).toMatchObject(nothing);
  });

  test.each([
    { policy_yaml: "rules: []" },
    { Policy_YAML: "rules: []" },
    { policy_rule_sets: [{}] },
    { policy: { mode: "strict" } },
    { expires_at: "2030-01-01T00:00:00Z" },
    { aws_config: { role_arn: "arn:aws:iam::1:role/a", region: "", session_duration: 0 } },
    { mcp_servers: [{ name: "a", url: "https://a.test", policy: { mode: "enforce" } }] },
  ])("that restricts what is not served, as in %j, is refused by name", (field) => {
    const refused = expect.objectContaining({
      code: "api.not_supported",
      detail: expect.stringMatching(/policy|expires|aws/),
    });
    expect(() => parseRegistration({ run_id: "r1", ...field })).toThrow(refused);
  });

  test.each([
    ["a user", { url: "https://user:secret-word@a.test/" }],
    ["a query", { url: "https://a.test/mcp?key=secret-word" }],
    ["a fragment", { url: "https://a.test/mcp#secret-word" }],
    ["another scheme", { url: "wss://a.test/mcp" }],
    ["no host", { url: "https:///mcp" }],
    ["a path with two readings", { url: "https://a.test/a%2f..%2fb" }],
    ["no url", { url: undefined }],
    ["a name like a token", { name: "0".repeat(64) }],
    ["a name with a slash", { name: "a/b" }],
    ["a credential in cleartext", { url: "http://a.test/", auth: { grant: "g", header: "X-Key" } }],
    ["a credential without header", { auth: { grant: "g", header: "" } }],
    ["a credential that frames", { auth: { grant: "g", header: "Content-Length" } }],
  ])("whose MCP server has %s is refused, and the URL is not repeated", (_, field) => {
    const body = { run_id: "r1", mcp_servers: [{ name: "a", url: "https://a.test", ...field }] };
    const refused = expect.objectContaining({ code: expect.stringMatching(/^(?:api\.malformed|grants\.invalid)$/) });
    expect(() => parseRegistration(body)).toThrow(refused);
    expect(() => parseRegistration(body)).toThrow(
      expect.not.objectContaining({ detail: expect.stringContaining("secret-word") }),
    );
  });
});

/** What stands in `runs.json`. */
async function stored(): Promise<{ version: number; runs: Record<string, unknown>[] }> {
  return JSON.parse(await readFile(join(directory, "runs.json"), "utf8"));
}

function store(content: unknown): Promise<void> {
  return writeFile(join(directory, "runs.json"), JSON.stringify(content), { mode: 0o600 });
}

const TOKEN = "ab".repeat(32);

/** An entry of the first version, which knew neither transformers nor needs. */
async function oldEntry(run_id: string, token: string): Promise<Record<string, unknown>> {
  const credentials = [{ host: "api.example.test", header: "authorization", value: INLINE_VALUE }];
  const values = { credentials, extraHeaders: [] } as unknown as InlineValues;
  return {
    run_id,
    token_hash: hashToken(token),
    registered_at: 1_700_000_000_000,
    grants: [],
    placeholders: {},
    policy: { mode: "strict", hostRules: [], allow: ["api.example.test"] },
    remove_headers: [{ host: "api.example.test", header_name: "x-old" }],
    sealed_values: await sealInlineValues(run_id, values, await openNodeKey(directory)),
  };
}

describe("a restart", () => {
  test("brings a run back as it was, in every field", async () => {
    const before = await openRegistry(directory);
    await addGrant(before.credentials, "stored");
    const token = await before.registry.register(parseRegistration(FULL));
    await before.registry.setContainer(token, "container-1");
    const after = await openRegistry(directory);
    expect(after.registry.refused).toEqual([]);
    expect(after.registry.snapshots()).toEqual([...before.served.runs.values()]);
    expect(after.registry.list()).toEqual(before.registry.list());
    expect(after.registry.snapshots()[0]).toMatchObject({
      slots: [{ host: "c.example.test", value: "planted-c-0123456789" }],
      transformers: FULL_READ.transformers,
      mcpServers: [{ name: "docs" }, { name: "open" }],
      extraHeaders: FULL_READ.extraHeaders,
      removeHeaders: FULL_READ.removeHeaders,
      policy: FULL_READ.policy,
      containerAddresses: [],
    });
    expect(await after.registry.register(parseRegistration({ ...FULL, auth_token: token }))).toBe(token);
  });

  test.each(["a bare list", "version 1"])(
    "reads what an older daemon left as %s, and writes it in the present form",
    async (form) => {
      const entry = await oldEntry("old", TOKEN);
      await store(form === "a bare list" ? [entry] : { version: 1, runs: [entry] });
      const { registry } = await openRegistry(directory);
      expect(registry.refused).toEqual([]);
      expect(registry.snapshots()).toMatchObject([
        {
          runId: "old",
          tokenHash: hashToken(TOKEN),
          isExternal: true,
          injections: [{ host: "api.example.test", header: "authorization", value: INLINE_VALUE }],
          slots: [],
          transformers: [],
          mcpServers: [],
          removeHeaders: [{ host: "api.example.test", name: "x-old" }],
          policy: { mode: "strict", allow: ["api.example.test"] },
        },
      ]);
      await registry.register(registration({ run_id: "new" }));
      const { version, runs } = await stored();
      expect([version, runs.map(({ run_id }) => run_id)]).toEqual([1, ["old", "new"]]);
      expect((await openRegistry(directory)).registry.size).toBe(2);
    },
  );

  test("says in an entry what a daemon must know to serve it, so that an older one refuses it", async () => {
    const { registry, credentials } = await openRegistry(directory);
    await addGrant(credentials, "stored");
    await registry.register(parseRegistration(FULL));
    await registry.register(registration({ run_id: "plain" }));
    expect((await stored()).runs.map(({ needs }) => needs)).toEqual([["response_transformers", "mcp_servers"], []]);
  });

  const FUTURE = [
    [
      "a need that is not known",
      { needs: ["time_windows"] },
      "it needs time_windows, which this version does not have",
    ],
    ["a policy with a condition that is not known", { policy: { mode: "strict", conditions: [] } }, "policy"],
    [
      "rules with a field that is not known",
      { policy: { mode: "permissive", rules: [{ action: "deny", hosts: ["a.test"], body: {} }] } },
      "policy",
    ],
    [
      "a transformer that is not known",
      { response_transformers: [{ host: "a.test", kind: "mask" }] },
      "response_transformers",
    ],
    ["an MCP server that cannot be read", { mcp_servers: [{ name: "a", url: "unix:/a" }] }, "url"],
  ] as const;

  test.each(FUTURE)(
    "refuses an entry of a newer daemon with %s, says why, and keeps it as it stood",
    async (_, more, reason) => {
      const entry = { ...(await oldEntry("newer", TOKEN)), ...more, introduced_later: { a: [1] } };
      await store({ version: 1, introduced_later: 1, runs: [entry, await oldEntry("old", "cd".repeat(32))] });
      const { registry } = await openRegistry(directory);
      expect(registry.snapshots().map(({ runId }) => runId)).toEqual(["old"]);
      expect(registry.refused).toMatchObject([
        { runId: "newer", reason: expect.stringMatching(new RegExp(reason, "i")) },
      ]);
      await registry.register(registration({ run_id: "another" }));
      expect((await stored()).runs.find(({ run_id }) => run_id === "newer")).toEqual(entry);
      expect((await openRegistry(directory)).registry.refused).toHaveLength(1);
      await registry.endByToken(TOKEN);
      expect((await stored()).runs.map(({ run_id }) => run_id)).not.toContain("newer");
    },
  );

  test("serves an entry of a newer daemon whose new fields it does not need to know", async () => {
    await store({ version: 1, runs: [{ ...(await oldEntry("newer", TOKEN)), needs: [], introduced_later: 1 }] });
    const { registry } = await openRegistry(directory);
    expect([registry.refused, registry.size]).toEqual([[], 1]);
  });
});
