import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runProcess, startWorld, type World } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { openGrantedApi } from "./granted-api.ts";

const PYTHON = fileURLToPath(new URL("audit/", import.meta.url));

interface Exported {
  readonly log: string;
  readonly key: string;
  readonly entries: number;
  readonly left_out: number;
}

/** A world in which a run called a service with a credential, and was refused another. */
async function playRun(world: World) {
  await using granted = await openGrantedApi(world);
  const script = `curl -sS ${granted.origin}/v1/me?page=planted-page; curl -sS https://denied.example.test/; true`;
  const { code } = await world.run(["sh", "-c", script], { grants: [granted.grant], policy: granted.policy });
  expect(code).toBe(0);
  expect(granted.api.requests).toHaveLength(1);
  expect((await world.cli(["revoke", granted.grant])).code).toBe(0);
  return { host: granted.host, value: granted.value, grant: granted.grant };
}

async function exportLog(world: World): Promise<Exported & { readonly path: string; readonly keyFile: string }> {
  const path = join(world.paths.directory, "audit.jsonl");
  const keyFile = join(world.paths.directory, "node.key");
  const exported = (await world.cliJson(["audit", "export", "--out", path])) as Exported;
  await writeFile(keyFile, `${exported.key}\n`);
  return { ...exported, path, keyFile };
}

test("what a run did is exported, and verified by us, by others and without a daemon; the credential is nowhere in it", async () => {
  await using world = await startWorld();
  const { host, value, grant } = await playRun(world);
  const { path, keyFile, key, log, entries, left_out } = await exportLog(world);
  expect(left_out).toBe(0);
  const text = await readFile(path, "utf8");
  expect(text).not.toContain(value);
  expect(text).not.toContain("planted-page");
  const found = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(found).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ kind: "grant.created", actor: `uid:${process.getuid?.()}` }),
      expect.objectContaining({
        kind: "request.injected",
        actor: "run",
        data: expect.objectContaining({ grants: [grant], url: `https://${host}/v1/me?page` }),
      }),
      expect.objectContaining({
        kind: "request.denied",
        data: expect.objectContaining({ code: "gate.policy_denied", url: "denied.example.test:443" }),
      }),
      expect.objectContaining({ kind: "run.ended" }),
      expect.objectContaining({ kind: "grant.revoked", data: { name: grant } }),
    ]),
  );
  const own = (await world.cliJson(["audit", "verify", path])) as object;
  expect(own).toMatchObject({ ok: true, log, key, entries, trust: "unpinned", unprotected: 0, witnesses: 0 });
  expect(await world.cliJson(["audit", "verify", path, "--key", keyFile])).toMatchObject({ trust: "pinned" });
  const other = await runProcess("python3", ["-B", join(PYTHON, "verify_audit.py"), path, "--key", keyFile]);
  expect(other).toMatchObject({ code: 0, stdout: `${entries} entries are what the pinned key signed\n` });
  await world.daemon.stop();
  expect(await world.cliJson(["audit", "verify"])).toMatchObject({ ok: true, log, unprotected: 0 });
  expect((await world.cli(["audit", "verify", world.paths.stateDir])).stdout).toContain("trust: unpinned");
});

test("one entry is proven by a few hundred bytes, which another program checks", async () => {
  await using world = await startWorld();
  await playRun(world);
  const { keyFile, log } = await exportLog(world);
  const proof = (await world.cliJson(["audit", "prove", "1"])) as Readonly<Record<string, unknown>>;
  expect(Object.keys(proof).sort()).toEqual(["entry", "head", "index", "path", "size"]);
  const path = join(world.paths.directory, "proof.json");
  const check = () => runProcess("python3", ["-B", join(PYTHON, "verify_proof.py"), path, log, keyFile]);
  await writeFile(path, JSON.stringify(proof));
  expect((await check()).code).toBe(0);
  await writeFile(path, JSON.stringify({ ...proof, entry: { ...(proof.entry as object), actor: "nobody" } }));
  expect((await check()).code).toBe(4);
  expect((await world.cli(["audit", "prove", "999999"])).code).toBe(5);
  expect((await world.cli(["audit", "prove", "-1"])).code).toBe(2);
});

test("what is not what was signed ends with 4 and says where; what is not there with 5; a key that is none with 2", async () => {
  await using world = await startWorld();
  await playRun(world);
  const { path, keyFile } = await exportLog(world);
  const text = await readFile(path, "utf8");
  const changed = join(world.paths.directory, "changed.jsonl");
  await writeFile(changed, text.replace('"kind":"grant.revoked"', '"kind":"grant.created"'));
  const told = await world.cli(["audit", "verify", changed]);
  expect(told).toMatchObject({ code: 4, stdout: "" });
  expect(told.stderr).toContain("An entry was changed: the first one is among 0 to ");
  const asJson = await world.cli(["audit", "verify", changed, "--json"]);
  expect(asJson.code).toBe(4);
  expect(JSON.parse(asJson.stdout)).toMatchObject({ ok: false, code: "audit.tampered" });
  await writeFile(changed, text.slice(0, text.trimEnd().lastIndexOf("\n") + 1));
  expect((await world.cli(["audit", "verify", changed])).code).toBe(4);
  await writeFile(keyFile, `${"A".repeat(43)}\n`);
  expect((await world.cli(["audit", "verify", path, "--key", keyFile])).code).toBe(4);
  await writeFile(keyFile, "no key\n");
  expect((await world.cli(["audit", "verify", path, "--key", keyFile])).code).toBe(2);
  expect((await world.cli(["audit", "verify", join(world.paths.directory, "nothing")])).code).toBe(5);
});

test("a daemon does not start over a log whose signed entries are gone, and leaves it as it is", async () => {
  await using world = await startWorld();
  await playRun(world);
  await exportLog(world);
  await world.daemon.kill();
  const segment = join(world.paths.stateDir, "audit", "0000000000000000.jsonl");
  const whole = await readFile(segment, "utf8");
  const cut = whole.split("\n").slice(0, 3).join("\n");
  await writeFile(segment, `${cut}\n`);
  await expect(world.daemon.start()).rejects.toThrow();
  expect(world.daemon.log).toContain("were signed and are not there");
  expect(await readFile(segment, "utf8")).toBe(`${cut}\n`);
  await writeFile(segment, whole);
  await world.daemon.start();
  expect(await world.cliJson(["audit", "verify"])).toMatchObject({ ok: true });
});
