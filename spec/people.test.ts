import { readFile, stat } from "node:fs/promises";
import { startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

test("members and keys are looked after from the command line; a key is shown once and lies in a file of mode 0600", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  expect(await fleet.operator(["members", "add", "bob", "--role", "admin"])).toEqual({ name: "bob", role: "admin" });
  expect(await fleet.operator(["members", "ls"])).toMatchObject([
    { name: "ada", role: "owner" },
    { name: "bob", role: "admin" },
  ]);
  const out = fleet.path("bob.key");
  const wanted = ["--label", "laptop", "--role", "operator", "--member", "bob", "--ttl", "1h", "--out", out];
  const made = await fleet.operator(["api-keys", "create", ...wanted]);
  expect(made).toMatchObject({ member: "bob", role: "operator", label: "laptop", last_used: null });
  const key = (await readFile(out, "utf8")).trim();
  expect(key.startsWith(made.prefix)).toBe(true);
  expect(JSON.stringify(made)).not.toContain(key);
  expect((await stat(out)).mode & 0o777).toBe(0o600);
  const again = await fleet.run(["api-keys", "create", ...wanted, "--state-dir", fleet.path("o")]);
  expect(again.stderr).toContain(`${out} was replaced. If it held a key, that one is still good`);
  expect(await readFile(out, "utf8")).not.toContain(key);
  expect(JSON.stringify(await fleet.operator(["api-keys", "ls"]))).not.toContain(key);
  await fleet.operator(["members", "set-role", "bob", "viewer"]);
  expect(await fleet.operator(["api-keys", "revoke", made.prefix])).toMatchObject({ id: made.id, state: "revoked" });
  await fleet.operator(["members", "remove", "bob"]);
  expect(await fleet.operator(["members", "ls"])).toMatchObject([{ name: "ada" }]);
  const own = ["--state-dir", fleet.path("o")];
  expect((await fleet.run(["members", "remove", "ada", ...own])).code).toBe(1);
  expect((await fleet.run(["members", "remove", "bob", ...own])).code).toBe(5);
  expect((await fleet.run(["members", "add", "eve", "--role", "king", ...own])).code).toBe(2);
  expect(await fleet.operator(["members", "ls"])).toMatchObject([{ name: "ada" }]);
  expect(fleet.serverLog).not.toContain(key.slice(13));
});
