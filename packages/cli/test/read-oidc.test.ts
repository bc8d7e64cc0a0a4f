import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "@gatehouse/kit";
import { afterAll, expect, test } from "vitest";
import { readOidc } from "../src/server/read-oidc.ts";

const directory = mkdtempSync(join(tmpdir(), "gatehouse-oidc-"));
const secret = join(directory, "secret");
writeFileSync(secret, "of the client\n", { mode: 0o600 });
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const WHOLE = {
  issuer: "https://id.example",
  clientId: "gatehouse",
  clientSecretFile: secret,
  org: "acme",
  roles: { admins: "admin" },
};

function read(oidc: Readonly<Record<string, unknown>>) {
  const file = join(directory, "config.yaml");
  writeFileSync(file, JSON.stringify({ oidc }));
  return readOidc(loadConfig({ file, env: {} }));
}

test("a provider that is configured as a whole is read, its secret from a file", async () => {
  const oidc = await read(WHOLE);
  expect(oidc).toMatchObject({ issuer: WHOLE.issuer, rules: { roleClaim: "groups", roles: { admins: "admin" } } });
  expect(oidc?.clientSecret.reveal()).toBe("of the client");
  expect(JSON.stringify(oidc)).not.toContain("of the client");
  expect(await readOidc(loadConfig({ env: { XDG_CONFIG_HOME: directory } }))).toBeUndefined();
});

test.each([
  ["clientId", { ...WHOLE, clientId: undefined }],
  ["clientSecretFile", { ...WHOLE, clientSecretFile: undefined }],
  ["clientSecretFile", { ...WHOLE, clientSecretFile: join(directory, "absent") }],
  ["org", { ...WHOLE, org: undefined }],
  ["https", { ...WHOLE, issuer: "http://id.example" }],
  ["lets anybody in", { ...WHOLE, roles: {} }],
  ["oidc.issuer is not", { ...WHOLE, issuer: undefined }],
  ["caFile", { ...WHOLE, caFile: join(directory, "absent") }],
  ["roles", { ...WHOLE, roles: { admins: "king" } }],
  ["addressRanges", { ...WHOLE, addressRanges: ["10.0.0.1/8"] }],
])("what says nothing whole about %s is refused by name", async (named, oidc) => {
  await expect(async () => read(oidc)).rejects.toThrow(named);
});

test("a secret that others may read is refused", async () => {
  chmodSync(secret, 0o644);
  await expect(read(WHOLE)).rejects.toMatchObject({ code: "state.unsafe_file" });
  chmodSync(secret, 0o600);
});
