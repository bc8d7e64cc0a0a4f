import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCa, writeFileAtomic } from "@gatehouse/kit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openInterceptionCa } from "../../src/holder/interception-ca.ts";

const DAY_MS = 86_400_000;
let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gatehouse-ca-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test("the CA is made once, its key the owner's alone, and is the same at the next start", async () => {
  const ca = await openInterceptionCa(directory, Date.now());
  expect(new X509Certificate(ca.certificatePem).checkPrivateKey(createPrivateKey(ca.privateKeyPem))).toBe(true);
  expect((await stat(join(directory, "ca/interception.key"))).mode & 0o777).toBe(0o600);
  expect(await openInterceptionCa(directory, Date.now())).toEqual(ca);
});

test("it is made anew 30 days before its end, and not a day earlier", async () => {
  const ca = await openInterceptionCa(directory, Date.now());
  expect(await openInterceptionCa(directory, Date.now() + 334 * DAY_MS)).toEqual(ca);
  expect(await openInterceptionCa(directory, Date.now() + 336 * DAY_MS)).not.toEqual(ca);
});

test("a renewal that was cut short between key and certificate is made up for", async () => {
  await openInterceptionCa(directory, Date.now());
  const other = await createCa({ commonName: "Other", days: 365, pathLength: 0 });
  await writeFileAtomic(join(directory, "ca/interception.key"), other.privateKeyPem);
  const renewed = await openInterceptionCa(directory, Date.now() + 336 * DAY_MS);
  expect(new X509Certificate(renewed.certificatePem).checkPrivateKey(createPrivateKey(renewed.privateKeyPem))).toBe(
    true,
  );
});

test("a key of another certificate is a clear problem, and is kept", async () => {
  await openInterceptionCa(directory, Date.now());
  const other = await createCa({ commonName: "Other", days: 365, pathLength: 0 });
  await writeFileAtomic(join(directory, "ca/interception.key"), other.privateKeyPem);
  await expect(openInterceptionCa(directory, Date.now())).rejects.toMatchObject({ code: "state.corrupt" });
  expect(await readFile(join(directory, "ca/interception.key"), "utf8")).toBe(other.privateKeyPem);
});
