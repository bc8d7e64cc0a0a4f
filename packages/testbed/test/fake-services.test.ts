import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  createTestAuthority,
  openContactCounter,
  openFakeApi,
  openFakeCargoRegistry,
  openFakeGit,
  openFakeNpmRegistry,
  openFakePypi,
  plantValue,
  runProcess,
} from "../src/index.ts";
import { fetchFrom } from "./fetch-from.ts";

async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), "testbed-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

test("the API shows a leaf for the name that is asked for, and for its address without one", async () => {
  const authority = await createTestAuthority();
  await using api = await openFakeApi({ authority });
  expect((await fetchFrom(authority, { port: api.port, name: "api.example.test" })).status).toBe(200);
  expect((await fetchFrom(authority, { port: api.port })).status).toBe(200);
  const stranger = await createTestAuthority();
  await expect(fetchFrom(stranger, { port: api.port })).rejects.toThrow(/certificate|self-signed|issuer/);
});

test("the API answers 401 without the planted value, and what it received with it", async () => {
  const authority = await createTestAuthority();
  const value = plantValue();
  await using api = await openFakeApi({ authority, header: "x-api-key", expects: value });
  expect((await fetchFrom(authority, api)).status).toBe(401);
  const { status, body } = await fetchFrom(authority, { port: api.port, path: "/a?b=c" }, { "X-Api-Key": value });
  expect(status).toBe(200);
  expect(JSON.parse(body)).toMatchObject({ method: "GET", url: "/a?b=c", headers: { "x-api-key": value } });
  expect(api.requests).toHaveLength(2);
  expect(api.requests[1]?.rawHeaders).toContain("X-Api-Key");
});

test("two planted values are never the same", () => {
  expect(plantValue()).not.toBe(plantValue());
});

test("the git host clones and takes a push with the right Basic value, and asks for it otherwise", async () => {
  const authority = await createTestAuthority();
  await using directory = await temporaryDirectory();
  await using host = await openFakeGit({ authority, expects: `Basic ${btoa("ada:secret")}` });
  const ca = join(directory.path, "ca.pem");
  await writeFile(ca, authority.certificatePem);
  const env = { PATH: process.env.PATH ?? "", GIT_SSL_CAINFO: ca, HOME: directory.path, GIT_TERMINAL_PROMPT: "0" };
  const git = (...args: string[]) => runProcess("git", args, { env, cwd: directory.path });

  const refused = await git("clone", `https://127.0.0.1:${host.port}/project.git`, "refused");
  expect(refused.code).not.toBe(0);
  const cloned = await git("clone", `https://ada:secret@127.0.0.1:${host.port}/project.git`, "copy");
  expect(cloned.code, cloned.stderr).toBe(0);
  expect(await readFile(join(directory.path, "copy/README.md"), "utf8")).toBe("A project.\n");

  const name = ["-c", "user.name=Ada", "-c", "user.email=ada@example.test"];
  expect((await git("-C", "copy", ...name, "commit", "--allow-empty", "-m", "More")).code).toBe(0);
  const pushed = await git("-C", "copy", "push", "origin", "main");
  expect(pushed.code, pushed.stderr).toBe(0);
  expect(await host.subjects("main")).toEqual(["More", "Begin"]);
});

test("the registry gives a package to npm with the token, and 401 without", async () => {
  const authority = await createTestAuthority();
  await using directory = await temporaryDirectory();
  await using registry = await openFakeNpmRegistry({
    authority,
    expects: "Bearer npm_token",
    origin: "https://127.0.0.1",
  });
  const ca = join(directory.path, "ca.pem");
  await writeFile(ca, authority.certificatePem);
  await writeFile(join(directory.path, "package.json"), "{}");
  const env = { PATH: process.env.PATH ?? "", HOME: directory.path, NODE_EXTRA_CA_CERTS: ca };
  const install = () => runProcess("npm", ["install", "left-gate"], { env, cwd: directory.path });

  await writeFile(join(directory.path, ".npmrc"), `registry=https://127.0.0.1:${registry.port}/\n`);
  expect((await install()).code).not.toBe(0);
  expect(registry.requests.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  await writeFile(
    join(directory.path, ".npmrc"),
    `registry=https://127.0.0.1:${registry.port}/\n//127.0.0.1:${registry.port}/:_authToken=npm_token\n`,
  );
  const installed = await install();
  expect(installed.code, installed.stderr).toBe(0);
  expect(await readFile(join(directory.path, "node_modules/left-gate/index.js"), "utf8")).toContain("left-gate works");
}, 60_000);

test("the crate registry and the package index show what they hold to the right value alone", async () => {
  const authority = await createTestAuthority();
  await using crates = await openFakeCargoRegistry({
    authority,
    expects: "cio",
    origin: "https://crates.example.test",
  });
  await using pypi = await openFakePypi({ authority, expects: "Basic eA==" });
  const places = [
    {
      port: crates.port,
      path: "/index/config.json",
      value: "cio",
      holds: `"dl":"https://crates.example.test:${crates.port}/`,
    },
    { port: crates.port, path: "/index/le/ft/left-gate", value: "cio", holds: '"vers":"1.2.3"' },
    { port: crates.port, path: "/crates/left-gate/1.2.3", value: "cio", holds: "" },
    {
      port: pypi.port,
      path: "/simple/left-gate/",
      value: "Basic eA==",
      holds: "left_gate-1.2.3-py3-none-any.whl#sha256=",
    },
    { port: pypi.port, path: "/files/left_gate-1.2.3-py3-none-any.whl", value: "Basic eA==", holds: "left_gate.py" },
  ];
  for (const { value, holds, ...place } of places) {
    expect((await fetchFrom(authority, place)).status).toBe(401);
    const { status, body } = await fetchFrom(authority, place, { Authorization: value });
    expect([place.path, status]).toEqual([place.path, 200]);
    expect(body).toContain(holds);
  }
});

test("the counter counts connections and datagrams", async () => {
  await using counter = await openContactCounter();
  const socket = connect(counter.port, "127.0.0.1");
  await once(socket.resume(), "close");
  const datagram = createSocket("udp4");
  datagram.send("ping", counter.port, "127.0.0.1");
  await once(datagram, "message");
  datagram.close();
  expect([counter.tcp, counter.udp]).toEqual([1, 1]);
});
