import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@gatehouse/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseRegistration } from "../../src/registry/parse-registration.ts";
import { addGrant, INLINE_VALUE, openRegistry, registration } from "./registry-under-test.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gatehouse-registry-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe("a registered run", () => {
  test("is served when its token is answered, and nothing secret stands in clear on disk", async () => {
    const { registry, served } = await openRegistry(directory);
    const token = await registry.register(
      registration({ extra_headers: [{ host: "x.test", header_name: "X-Key", value: "extra-secret" }] }),
    );
    expect(token).toMatch(/^[0-9a-f]{64}$/);
    expect(served.runs.get("r1")?.injections[0]).toMatchObject({ header: "authorization", value: INLINE_VALUE });
    const stored = await readFile(join(directory, "runs.json"), "utf8");
    for (const secret of [INLINE_VALUE, "planted-0123456789abcdef", "extra-secret", token])
      expect(stored).not.toContain(secret);
    expect(JSON.stringify(registry.list())).not.toContain(token);
  });

  test("has keys among its headers scrubbed from answers of their hosts", async () => {
    const { registry, served } = await openRegistry(directory);
    const extra = { host: "x.test", header_name: "X-Api-Key", value: "extra-secret" };
    const token = await registry.register(registration({ extra_headers: [extra] }));
    expect(served.runs.get("r1")?.scrub.map(({ value }) => value)).toContain("extra-secret");
    expect(served.runs.get("r1")?.scrubHosts).toEqual(["x.test"]);
    await registry.register(
      registration({ auth_token: token, extra_headers: [{ ...extra, host: "y.test", value: "another-secret" }] }),
    );
    expect(served.runs.get("r1")?.scrub.map(({ value }) => value)).toEqual(
      expect.arrayContaining(["extra-secret", "another-secret"]),
    );
    expect(served.runs.get("r1")?.scrubHosts).toEqual(expect.arrayContaining(["x.test", "y.test"]));
  });

  test("comes back whole after a restart", async () => {
    const before = await openRegistry(directory);
    const token = await before.registry.register(registration());
    const after = await openRegistry(directory);
    expect(after.registry.snapshots()).toEqual([...before.served.runs.values()]);
    expect(await after.registry.register(registration({ auth_token: token }))).toBe(token);
  });

  test("can be registered anew under its own token, and under no other", async () => {
    const { registry, served } = await openRegistry(directory);
    const token = await registry.register(registration());
    await expect(registry.register(registration())).rejects.toMatchObject({ code: "runs.id_taken" });
    await expect(registry.register(registration({ auth_token: "0".repeat(64) }))).rejects.toMatchObject({
      code: "runs.id_taken",
    });
    const other = registry.register(registration({ run_id: "r2", auth_token: token }));
    await expect(other).rejects.toMatchObject({ code: "runs.token_conflict" });
    expect(served.runs.size).toBe(1);
    expect(await registry.register(registration({ auth_token: token, network_allow: ["b.test"] }))).toBe(token);
    expect(served.runs.get("r1")?.policy.allow).toEqual(["b.test"]);
  });

  test("that was deleted does not come back with its token, before and after a restart", async () => {
    const { registry, served } = await openRegistry(directory);
    const token = await registry.register(registration());
    await registry.end("r1");
    expect(served.runs.size).toBe(0);
    const again = registration({ auth_token: token });
    await expect(registry.register(again)).rejects.toMatchObject({ code: "runs.token_revoked" });
    await expect((await openRegistry(directory)).registry.register(again)).rejects.toMatchObject({
      code: "runs.token_revoked",
    });
    const tomorrow = { ...systemClock, now: () => Date.now() + 25 * 3_600_000 };
    expect(await (await openRegistry(directory, tomorrow)).registry.register(again)).toBe(token);
  });

  test("whose grant is gone is refused at restore, not weakened", async () => {
    const { registry, credentials } = await openRegistry(directory);
    await addGrant(credentials, "g");
    await registry.register(registration({ credentials: [], grants: ["g"] }));
    await credentials.remove("g");
    const after = await openRegistry(directory);
    expect(after.registry.size).toBe(0);
    expect(after.registry.refused).toMatchObject([{ runId: "r1" }]);
  });

  test("loses a grant that is withdrawn, before that is answered", async () => {
    const { registry, credentials, served } = await openRegistry(directory);
    await addGrant(credentials, "g");
    await registry.register(registration({ credentials: [], grants: ["g"] }));
    expect(served.runs.get("r1")?.injections).toHaveLength(1);
    await registry.withdrawGrant("g");
    expect(served.runs.get("r1")?.injections).toEqual([]);
    expect((await openRegistry(directory)).registry.refused).toEqual([]);
  });

  test("whose value is too short to be scrubbed is refused, and nothing is kept", async () => {
    const { registry, served } = await openRegistry(directory);
    const credential = { host: "api.example.test", header: "Authorization" };
    for (const value of ["Bearer short", `Basic ${btoa("user:short")}`, "short"]) {
      const refused = registry.register(registration({ credentials: [{ ...credential, value }] }));
      await expect(refused).rejects.toMatchObject({ code: "credentials.invalid_value" });
    }
    expect([registry.size, served.runs.size]).toEqual([0, 0]);
    await registry.register(registration({ credentials: [{ ...credential, value: "Bearer longer" }] }));
  });

  test("goes on scrubbing what was taken back, on the hosts where it went, until the run ends", async () => {
    const { registry, credentials, served } = await openRegistry(directory);
    await addGrant(credentials, "g");
    const token = await registry.register(registration({ grants: ["g"] }));
    const forms = () => served.runs.get("r1")?.scrub.map(({ value }) => value);
    await credentials.remove("g");
    await registry.withdrawGrant("g");
    expect(forms()).toContain("planted-g");
    expect(served.runs.get("r1")?.scrubHosts).toEqual(["api.example.test"]);
    await registry.register(
      registration({
        auth_token: token,
        credentials: [{ host: "b.example.test", header: "Authorization", value: "Bearer another-0123456789" }],
      }),
    );
    expect(forms()).toEqual(expect.arrayContaining(["another-0123456789", "planted-0123456789abcdef", "planted-g"]));
    expect(served.runs.get("r1")?.injections.map(({ host }) => host)).toEqual(["b.example.test"]);
    await registry.end("r1");
    await registry.register(registration({ credentials: [] }));
    expect(forms()).toEqual([]);
  });

  test("that ends, or loses its grant, while it is being registered is never served with it", async () => {
    const { registry, credentials, served } = await openRegistry(directory);
    await addGrant(credentials, "g");
    const registering = registry.register(registration({ credentials: [], grants: ["g"] })).catch(() => undefined);
    await credentials.remove("g");
    await registry.withdrawGrant("g");
    await registering;
    expect([...served.runs.values()].flatMap(({ injections }) => injections)).toEqual([]);
    const ending = registry.register(registration({ run_id: "r2" })).catch(() => undefined);
    while (registry.get("r2") === undefined) await new Promise((resolve) => setImmediate(resolve));
    await registry.end("r2");
    await ending;
    expect(served.runs.has("r2")).toBe(false);
  });

  test("with two values for one header of one host is refused, and nothing is kept", async () => {
    const { registry, served } = await openRegistry(directory);
    const one = { host: "api.example.test", header: "Authorization", value: "Bearer a-123456" };
    const two = { ...one, header: "authorization", value: "Bearer b-123456" };
    const conflicting = registry.register(registration({ credentials: [one, two] }));
    await expect(conflicting).rejects.toMatchObject({ code: "runs.credential_conflict" });
    expect(served.runs.size).toBe(0);
    expect(registry.size).toBe(0);
  });

  test("that cannot be written is not served", async () => {
    const { registry, served } = await openRegistry(directory);
    await mkdir(join(directory, "runs.json"));
    await expect(registry.register(registration())).rejects.toMatchObject({ code: "state.write_failed" });
    expect(served.runs.size).toBe(0);
    expect(registry.size).toBe(0);
  });
});

describe("a damaged runs.json", () => {
  test.each([
    ["truncated", '{"version":1,"runs":[{"run_'],
    ["no JSON", "garbage"],
    ["of another version", '{"version":9,"runs":[]}'],
  ])("that is %s is set aside whole, and said", async (_, text) => {
    await writeFile(join(directory, "runs.json"), text, { mode: 0o600 });
    const { registry } = await openRegistry(directory);
    expect(registry.refused[0]?.reason).toMatch(/^runs\.json is damaged and was kept as runs\.json\.corrupt-\d+$/);
    const aside = (await readdir(directory)).find((name) => name.startsWith("runs.json.corrupt-")) ?? "";
    expect(await readFile(join(directory, aside), "utf8")).toBe(text);
  });

  test("with one bad entry keeps the others", async () => {
    const { registry } = await openRegistry(directory);
    await registry.register(registration());
    const path = join(directory, "runs.json");
    const stored = JSON.parse(await readFile(path, "utf8"));
    stored.runs.push({ run_id: "bad" });
    await writeFile(path, JSON.stringify(stored.runs), { mode: 0o600 }); // the legacy form, a bare list
    const after = await openRegistry(directory);
    expect(after.registry.list().map(({ runId }) => runId)).toEqual(["r1"]);
    expect(after.registry.refused).toMatchObject([{ runId: "bad" }]);
  });

  test("that others may read is refused", async () => {
    await writeFile(join(directory, "runs.json"), "{}", { mode: 0o644 });
    await expect(openRegistry(directory)).rejects.toMatchObject({ code: "state.unsafe_file" });
  });
});

describe("the wire shape of a registration", () => {
  test("matches key names without case and ignores unknown ones", () => {
    const parsed = parseRegistration({ Run_ID: "r1", NETWORK_POLICY: "permissive", Whatever: 1 });
    expect(parsed).toMatchObject({ runId: "r1", policy: { mode: "permissive" } });
  });

  test("is strict when no policy is named", () => {
    expect(parseRegistration({ run_id: "r1" }).policy.mode).toBe("strict");
  });

  test("takes empty text, as some languages send what is absent, for absent", () => {
    const rules = [{ action: "deny", method: "", path_pattern: "" }];
    const credentials = [{ host: "a.test", header: "a", value: "v", grant: "" }];
    const network_rules = [{ host: "a.test", rules }];
    const absent = { auth_token: "", network_policy: "", mcp_servers: null, aws_config: null, policy_yaml: "" };
    expect(parseRegistration({ run_id: "r1", credentials, network_rules, ...absent })).toMatchObject({
      token: undefined,
      credentials: [{ grant: undefined }],
      policy: { mode: "strict", hostRules: [{ rules: [{ method: "*", pathPattern: "**" }] }] },
    });
  });

  test.each(["aws_config", "policy_yaml", "policy_rule_sets"])(
    "refuses %s by name when it is not empty, and takes it when it is",
    (name) => {
      expect(() => parseRegistration({ run_id: "r1", [name]: [{ a: 1 }] })).toThrowError(
        expect.objectContaining({ code: "api.not_supported", detail: expect.stringContaining(name) }),
      );
      expect(parseRegistration({ run_id: "r1", [name]: [] }).runId).toBe("r1");
    },
  );

  test.each([
    ["no object", []],
    ["no run_id", {}],
    ["a run_id with a slash", { run_id: "a/b" }],
    ["a policy that is unknown", { run_id: "r1", network_policy: "open" }],
    ["a header name with a space", { run_id: "r1", credentials: [{ host: "a.test", header: "a b", value: "v" }] }],
    ["a value with a line end", { run_id: "r1", credentials: [{ host: "a.test", header: "a", value: "v\r\nx: y" }] }],
    [
      "a credential that frames the message",
      { run_id: "r1", credentials: [{ host: "a.test", header: "Content-Length", value: "1" }] },
    ],
    [
      "an extra header that routes it",
      { run_id: "r1", extra_headers: [{ host: "a.test", header_name: "Host", value: "b.test" }] },
    ],
    [
      "an added header that frames, with an underscore",
      { run_id: "r1", extra_headers: [{ host: "a.test", header_name: "Transfer_Encoding", value: "chunked" }] },
    ],
    ["a credential for every host", { run_id: "r1", credentials: [{ host: "*", header: "a", value: "v" }] }],
    [
      "a credential below a suffix of strangers",
      { run_id: "r1", credentials: [{ host: "*.github.io", header: "a", value: "v" }] },
    ],
    ["a host that is none", { run_id: "r1", credentials: [{ host: "a b", header: "a", value: "v" }] }],
    ["a key twice", { run_id: "r1", RUN_ID: "r2" }],
    ["a token that is short", { run_id: "r1", auth_token: "abc" }],
  ])("refuses %s", (_, body) => {
    expect(() => parseRegistration(body)).toThrow();
  });
});
