import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { stretchedLimit } from "@gatehouse/testbed";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findTellingFiles } from "../src/runs/telling-files.ts";

let root = "";

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "gatehouse-telling-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function put(path: string, text = ""): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}

const found = () => [...findTellingFiles(root).secrets].sort();

const ACCOUNT = `{ "type": "service_account", "project_id": "p", "private_key": "-----BEGIN PRIVATE KEY-----\\n" }`;

test.each([
  ".env",
  ".env.production",
  ".envrc",
  "apps/web/.env.local",
  ".npmrc",
  "a/b/c/d/.netrc",
  ".ssh/id_work",
  "home/.ssh/id_ed25519",
  "deploy/id_ecdsa_sk",
  "home/.aws/credentials",
  ".docker/config.json",
  ".kube/config",
  "kubeconfig",
  "infra/terraform.tfstate",
  "certs/server.key",
  "certs/store.p12",
  "my-service-account.json",
  "config/gcp_serviceaccount_prod.json",
  "client_secret_12.apps.json",
])("%s is known to hold secrets, wherever it lies", async (path) => {
  await put(path);
  expect(found()).toEqual([path]);
});

test.each([
  ".env.example",
  ".env.sample",
  "home/.ssh/id_work.pub",
  "home/.ssh/known_hosts",
  ".aws/config",
  "package.json",
  "src/index.ts",
  "identity.json",
  "node_modules/some/.env",
  ".venv/lib/cert.pem",
  ".git/objects/aa/server.key",
])("%s is nothing to speak of", async (path) => {
  await put(path, "{}");
  expect(found()).toEqual([]);
});

test("a key of a service's account is known by what it holds, whatever it is called", async () => {
  await put("keys/prod-1a2b3c.json", ACCOUNT);
  await put("adc.json", `{"type":"authorized_user","refresh_token":"r"}`);
  await put("schema.json", `{ "type": "object", "properties": { "private_key": { "type": "string" } } }`);
  expect(found()).toEqual(["adc.json", "keys/prod-1a2b3c.json"]);
});

test("a remote whose URL holds a password is known, a plain one is none", async () => {
  await put("one/.git/config", `[remote "origin"]\n\turl = https://bot:token@git.example/one.git\n`);
  await put("two/.git/config", `[remote "origin"]\n\turl = https://git.example/two.git\n`);
  expect(found()).toEqual(["one/.git/config"]);
});

test("no link is followed, no pipe is waited for, and a socket is told apart", async () => {
  await put("work/.keep");
  await symlink("/", join(root, "everything"));
  execFileSync("mkfifo", [join(root, "pipe.json")]);
  await symlink("pipe.json", join(root, "link.json"));
  const server = createServer().listen(join(root, "agent.sock"));
  await new Promise((resolve) => server.once("listening", resolve));
  expect(findTellingFiles(root)).toMatchObject({ secrets: [], sockets: ["agent.sock"], isPartial: false });
  await new Promise((resolve) => server.close(resolve));
});

test("the look is bounded: by entries, by depth, by what is opened; it says when it saw not all", async () => {
  await put("a/b/c/d/e/.env");
  await put("a/b/c/d/e/f/.env");
  expect(findTellingFiles(root)).toMatchObject({ secrets: ["a/b/c/d/e/.env"], isPartial: true });
  await mkdir(join(root, "many"));
  await Promise.all(Array.from({ length: 3_000 }, (_, at) => writeFile(join(root, "many", `${at}.json`), ACCOUNT)));
  const began = performance.now();
  const { secrets, isPartial } = findTellingFiles(root);
  const tookMs = performance.now() - began;
  expect(tookMs).toBeLessThan(await stretchedLimit(500));
  expect(isPartial).toBe(true);
  expect(secrets.length).toBeLessThanOrEqual(33);
});
