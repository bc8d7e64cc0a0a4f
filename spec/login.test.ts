import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import {
  type FakeIdentityProvider,
  type Fleet,
  openFakeIdentityProvider,
  ScriptedBrowser,
  startFleet,
} from "@gatehouse/testbed";
import { expect, test } from "vitest";

/** Lets people sign in from the server's next start on. */
async function configure(fleet: Fleet, provider: FakeIdentityProvider): Promise<void> {
  const [secret, ca] = [fleet.path("oidc-secret"), fleet.path("oidc-ca.pem")];
  await writeFile(secret, `${provider.clientSecret}\n`);
  await chmod(secret, 0o600);
  await writeFile(ca, provider.authorityPem);
  const oidc = {
    issuer: provider.issuer,
    clientId: provider.clientId,
    clientSecretFile: secret,
    org: "acme",
    roles: { admins: "admin" },
    caFile: ca,
    addressRanges: ["127.0.0.0/8"],
  };
  await mkdir(fleet.path("config", "gatehouse"), { recursive: true });
  await writeFile(fleet.path("config", "gatehouse", "config.yaml"), JSON.stringify({ oidc }));
  await fleet.stopServer();
  await fleet.startServer();
  provider.admit(`${fleet.url}/sign-in/callback`);
}

test("a person logs in by their browser, acts, and logs out; the server is known by its pin before anything is sent", async () => {
  await using provider = await openFakeIdentityProvider();
  await using fleet = await startFleet();
  await fleet.initOrg();
  await configure(fleet, provider);
  const { pin } = await fleet.operator(["org", "pin"]);
  const own = ["--state-dir", fleet.path("bea")];
  const login = fleet.start(["login", "--server", fleet.url, "--pin", pin, ...own, "--json"]);
  const asked = JSON.parse(await login.line("the code", (line) => line.includes("user_code")));
  provider.person = { sub: "u1", groups: ["admins"], preferred_username: "bea" };
  const browser = new ScriptedBrowser();
  await browser.visit(asked.verification_uri);
  const form = { user_code: asked.user_code, decision: "approve" };
  expect((await browser.visitOnce(`${asked.verification_uri}/decide`, { form })).status).toBe(200);
  const done = JSON.parse(await login.line("the login", (line) => line.includes("logged_in")));
  expect(done).toMatchObject({ org: "acme", member: "bea", role: "admin" });
  expect((await login.finished).code).toBe(0);
  const key = (await readFile(fleet.path("bea", "operator", "api.key"), "utf8")).trim();
  expect((await stat(fleet.path("bea", "operator", "api.key"))).mode & 0o777).toBe(0o600);
  expect(`${login.stdout}${login.stderr}${fleet.serverLog}`).not.toContain(key);
  expect(await fleet.json(["members", "ls", ...own])).toMatchObject([{ name: "ada" }, { name: "bea" }]);
  expect(await fleet.json(["nodes", "enroll-code", ...own])).toMatchObject({ code: expect.stringMatching(/^ghe_/) });
  const again = await fleet.run(["login", "--server", fleet.url, "--pin", pin, ...own]);
  expect(again.stderr).toContain("gatehouse logout");
  await fleet.json(["logout", ...own]);
  expect((await fleet.run(["members", "ls", ...own])).code).not.toBe(0);
  await writeFile(fleet.path("stolen"), key, { mode: 0o600 });
  const stolen = ["--api-key-file", fleet.path("stolen"), "--state-dir", fleet.path("eve")];
  expect((await fleet.run(["login", "--server", fleet.url, "--pin", pin, ...stolen])).code).toBe(4);
});

test("an owner chooses a password by the link that org init prints, invites others, and a machine is let in by them", async () => {
  await using fleet = await startFleet();
  const made = ["--server", fleet.url, "--setup-code-file", fleet.path("s", "setup-code")];
  const names = ["--org", "acme", "--owner", "ada", "--state-dir", fleet.path("o")];
  const init = await fleet.run(["org", "init", ...made, ...names]);
  const [, ownCode = ""] = /\/join\?code=([A-Za-z0-9_-]{43})\n/.exec(init.stdout) ?? [];
  const password = "correct horse battery staple";
  const ada = new ScriptedBrowser();
  const chosen = { code: ownCode, next: password, again: password };
  expect((await ada.visit(`${fleet.url}/join`, { form: chosen })).text).toContain("<strong>owner</strong>");
  const again = await fleet.run(["org", "init", ...made, ...names]);
  expect(again).toMatchObject({ code: 0, stdout: expect.not.stringContaining("/join") });

  await fleet.operator(["members", "add", "bob", "--role", "admin"]);
  const out = fleet.path("bob.link");
  const link = await fleet.operator(["members", "invite", "bob", "--ttl", "1h", "--out", out]);
  expect(link).toEqual({ member: "bob", expires_at: expect.any(String) });
  expect((await stat(out)).mode & 0o777).toBe(0o600);
  const url = (await readFile(out, "utf8")).trim();
  expect(await fleet.operator(["members", "ls"])).toMatchObject([
    { name: "ada", password: true, provider: false, link_until: null },
    { name: "bob", password: false, provider: false, link_until: link.expires_at },
  ]);
  const code = new URL(url).searchParams.get("code") ?? "";
  const bob = new ScriptedBrowser();
  expect((await bob.visit(url)).text).toContain("<strong>bob</strong>");
  await bob.visit(`${fleet.url}/join`, { form: { code, next: password, again: password } });
  await bob.visit(`${fleet.url}/sign-out`, { form: {} });

  const { pin } = await fleet.operator(["org", "pin"]);
  const own = ["--state-dir", fleet.path("bob")];
  const login = fleet.start(["login", "--server", fleet.url, "--pin", pin, ...own, "--json"]);
  const asked = JSON.parse(await login.line("the code", (line) => line.includes("user_code")));
  const [asks, form] = [await bob.visit(asked.verification_uri), { org: "acme", name: "bob", password, to: "device" }];
  expect(asks.url).toBe(`${fleet.url}/sign-in?to=device`);
  expect((await bob.visit(`${fleet.url}/sign-in`, { form })).url).toBe(`${fleet.url}/device`);
  const decision = { user_code: asked.user_code, decision: "approve" };
  expect((await bob.visitOnce(`${fleet.url}/device/decide`, { form: decision })).status).toBe(200);
  const done = JSON.parse(await login.line("the login", (line) => line.includes("logged_in")));
  expect(done).toMatchObject({ org: "acme", member: "bob", role: "admin" });
  await login.finished;

  const sessions = await fleet.json(["members", "sessions", ...own]);
  expect(sessions).toMatchObject([{ member: "bob", address: "127.0.0.1", browser: "Another program" }]);
  expect(await fleet.operator(["members", "sign-out", "bob", "--session", sessions[0].id])).toMatchObject({ ended: 1 });
  expect((await bob.visit(`${fleet.url}/account`)).url).toBe(`${fleet.url}/sign-in`);
  expect((await fleet.run(["members", "reset-password", "ada", ...own])).code).toBe(4);
  expect((await fleet.run(["members", "sign-out", "ada", ...own])).code).toBe(4);
  expect((await ada.visit(`${fleet.url}/account`)).status).toBe(200);
  const reset = await fleet.operator(["members", "reset-password", "bob"]);
  expect((await bob.visit(`${fleet.url}/sign-in`, { form })).status).toBe(401);
  const lost = ["--org", "acme", "--name", "ada", "--url", fleet.url, "--state-dir", fleet.path("s")];
  const ownAgain = await fleet.json(["server", "owner-link", ...lost]);
  expect((await ada.visit(ownAgain.url)).text).toContain("<strong>ada</strong>");
  for (const secret of [
    ownCode,
    code,
    password,
    new URL(ownAgain.url).searchParams.get("code"),
    new URL(reset.url).searchParams.get("code"),
  ]) {
    expect(fleet.serverLog).not.toContain(secret);
  }
});

test("a key that somebody made makes a machine a member's, and a wrong pin lets nothing out", async () => {
  await using fleet = await startFleet();
  await using other = await startFleet();
  await Promise.all([fleet.initOrg(), other.initOrg()]);
  const [{ pin }, { pin: foreign }] = [await fleet.operator(["org", "pin"]), await other.operator(["org", "pin"])];
  await fleet.operator(["members", "add", "bob", "--role", "viewer"]);
  const key = fleet.path("bob.key");
  await fleet.operator(["api-keys", "create", "--label", "bob", "--role", "viewer", "--member", "bob", "--out", key]);
  const own = ["--api-key-file", key, "--state-dir", fleet.path("bob")];
  const [ofOrg = "", ofEncryption = ""] = pin.split(".");
  for (const [wrong, code] of [
    [foreign, 5],
    [`${ofOrg}.${foreign.split(".")[1]}`, 4],
    [`${foreign.split(".")[0]}.${ofEncryption}`, 5],
    [ofOrg, 2],
  ] as const) {
    expect((await fleet.run(["login", "--server", fleet.url, "--pin", wrong, ...own])).code, wrong).toBe(code);
    await expect(stat(fleet.path("bob", "operator", "api.key"))).rejects.toThrow("ENOENT");
  }
  expect(await fleet.json(["login", "--server", fleet.url, "--pin", pin, ...own])).toMatchObject({
    member: "bob",
    role: "viewer",
  });
  expect((await fleet.run(["nodes", "enroll-code", "--state-dir", fleet.path("bob")])).code).toBe(4);
  await mkdir(fleet.path("config", "gatehouse"), { recursive: true });
  await writeFile(fleet.path("config", "gatehouse", "config.yaml"), JSON.stringify({ people: { passwords: "off" } }));
  await fleet.stopServer();
  await fleet.startServer();
  const waiting = ["--state-dir", fleet.path("carl")];
  const refused = await fleet.run(["login", "--server", fleet.url, "--pin", pin, ...waiting]);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("--api-key-file") });
  const last = await fleet.run(["logout", "--state-dir", fleet.path("o")]);
  expect(last.code).toBe(1);
  expect(await fleet.operator(["members", "ls"])).toHaveLength(2);
});
