import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { dirname, join } from "node:path";
import { eventually, productCommand, REPOSITORY, runProcess, startWorld } from "@gatehouse/testbed";
import { expect, test } from "vitest";

const TOKEN = "any text does here";

/** Every command of the README's tour that says something, and what a newcomer reads then. */
const SAID: readonly (readonly [command: RegExp, said: RegExp])[] = [
  [/run -- curl .* https:\/\/example\.com$/, /^curl: \(56\) CONNECT tunnel failed, response 403\n$/],
  [/run -- curl .* http:\/\/example\.com$/, /"code":"gate\.policy_denied".*"allow_hint":"A person may allow it: /],
  [/^gatehouse trace$/, / 403 {2}CONNECT example\.com:443 .* gate\.policy_denied \(default\)\n/],
  [/run -- curl .*localhost/, /^curl: \(7\) Failed to connect to localhost /],
  [/run --allow localhost/, /^\{"host":"localhost:\d+",/],
  [/^gatehouse grant github$/, /^Stored github: sealed to this node, for api\.github\.com \(Authorization\), /],
  [/^gatehouse credentials ls$/, /^NAME .*\ngithub {2}node {4}github .* {2}api\.github\.com, .*\n$/],
  [/GITHUB_TOKEN/, /^ghp_[A-Za-z0-9]+\n$/],
  // Here the name leads to loopback, where no grant goes.
  [/api\.github\.com\/user$/, /"code":"gate\.address_forbidden"/],
  [/^gatehouse trace$/, / GET {5}https:\/\/api\.github\.com\/user /],
  [/^gatehouse revoke github$/, /^Revoked github: no run uses it any more, and its credential is deleted\.\n$/],
  [/run --grant github -- true$/, /^gatehouse: There is no such grant\. github is unknown\.\n/],
  [/^gatehouse audit export --out audit\.jsonl$/, /^Exported \d+ entries /],
  [/^gatehouse audit verify audit\.jsonl$/, /: \d+ entries are what was signed /],
];

/** The tour's lines, without what they say about themselves. */
async function readTour(): Promise<readonly string[]> {
  const readme = await readFile(join(REPOSITORY, "README.md"), "utf8");
  const tour = /## A tour in five minutes\n([\s\S]*?)\n## /.exec(readme)?.[1] ?? "";
  const blocks = [...tour.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text = ""]) => text);
  return blocks.flatMap((text) => text.trim().split("\n")).map((line) => line.replace(/\s+# .*$/, ""));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function untilListening(port: number): Promise<void> {
  await eventually("the service of the tour", async () => {
    const socket = connect(port, "127.0.0.1");
    const isThere = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    return isThere;
  });
}

test("each step of the README's tour says what it promises, without a network", async () => {
  await using world = await startWorld({ hosts: { "api.github.com": "127.0.0.1" } });
  const port = await freePort();
  const product = `'${productCommand().join("' '")}' --state-dir '${world.paths.stateDir}' --config '${world.paths.config}'`;
  const lines = (await readTour()).map((line) => line.replaceAll("8000", String(port)));
  const [alias = "", , ...steps] = lines;
  expect(alias).toContain("packages/cli/bin/gatehouse.mjs");
  const spoken = steps.filter((line) => line.startsWith("gatehouse "));
  expect(spoken).toHaveLength(SAID.length);
  const service = steps.find((line) => line.startsWith("node ")) ?? "";
  const env = { ...world.environment, PATH: `${dirname(process.execPath)}:${world.environment.PATH}` };
  const serving = spawn("bash", ["-c", `exec ${service.replace(/ &$/, "")}`], { env, stdio: "ignore" });
  try {
    await untilListening(port);
    for (const [at, line] of spoken.entries()) {
      const [command, said] = SAID[at] ?? [/^$/, /^$/];
      expect(line).toMatch(command);
      const script = `gatehouse() { ${product} "$@"; }\n${line} 2>&1`;
      const done = await runProcess("bash", ["-c", script], { env, cwd: world.paths.workspace, stdin: TOKEN });
      expect(done.stdout, line).toMatch(said);
      expect(done.stdout, line).not.toContain(TOKEN);
    }
  } finally {
    serving.kill();
    await once(serving, "exit");
  }
});
