import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import type { RunOptions, World } from "@gatehouse/testbed";
import { expect } from "vitest";
import { findInSandboxes } from "../granted-api.ts";
import type { Client, ClientUse } from "./client.ts";
import type { ClientService } from "./services.ts";

const TIMEOUT_MS = 90_000;

/** Drives one client through its refusals and its success; returns the version that it stated. */
export async function exerciseClient(
  world: World,
  client: Client,
  { use, service }: { readonly use: ClientUse; readonly service: ClientService },
): Promise<string> {
  expect(await service.statusWithout(), "the service itself refuses who shows nothing").toBe(401);
  const before = { connections: service.connections, unauthorised: service.unauthorised };
  const flags = (use.mounts ?? []).flatMap((path) => ["--mount", path]);
  const own = { flags, timeoutMs: TIMEOUT_MS, ...(use.ownAuthentication ? { env: use.ownAuthentication } : {}) };

  const refused = await runOnce(world, use, own);
  expect(refused.code, `refused, yet it ended well: ${refused.said}`).not.toBe(0);
  expect(refused.said, "what it says of the gate's refusal").toMatch(client.refused);
  expect(service.connections, "a refused host is not contacted").toBe(before.connections);

  const without = await runOnce(world, use, { ...own, policy: service.policy });
  expect(without.code, `without the grant, yet it ended well: ${without.said}`).not.toBe(0);
  expect(without.said, "what it says of a 401").toMatch(client.unauthorised);
  expect(service.unauthorised, "it reached the service without the grant").toBeGreaterThan(before.unauthorised);
  expect(service.authorised, "nothing was attached without the grant").toBe(0);

  const how = { flags, policy: service.policy, grants: service.grants };
  const granted = await runAndSearch(world, use, { ...how, value: service.value });
  expect(granted.code, granted.said).toBe(0);
  expect(granted.found, "where the value is seen").toEqual([]);
  expect(granted.said).not.toContain(service.value);
  expect(service.authorised, "requests with the planted value").toBeGreaterThan(0);
  expect(service.strays, "requests with what the client had itself").toBe(0);
  return granted.version;
}

/** Runs the script to its end in an empty workspace. */
export async function runOnce(world: World, use: Pick<ClientUse, "script">, options: RunOptions) {
  await using workspace = await openWorkspace(world);
  const flags = [...(options.flags ?? []), "--workspace", workspace.path];
  const { code, stdout, stderr } = await world.run(["sh", "-c", `set -e\n${use.script}`], { ...options, flags });
  return { code, said: stdout + stderr };
}

/** Runs the script and searches the sandbox while it is there: the client itself where it waits for that. */
async function runAndSearch(world: World, use: ClientUse, options: RunOptions & { readonly value: string }) {
  const { value, flags = [], ...granted } = options;
  const script = `echo "version $(${use.version} 2>&1 | grep -m 1 .)"
(set -e
${use.script})
echo "ended with $?"; read -r _ || true`;
  await using workspace = await openWorkspace(world);
  const all = { ...granted, flags: [...flags, "--workspace", workspace.path] };
  const running = world.startRun(["sh", "-c", script], all);
  const isSearchable = (line: string) => line === "searchable" || line.startsWith("ended with ");
  await running.line("the end of the script", isSearchable, TIMEOUT_MS);
  const found = await findInSandboxes(world, value, use.mounts);
  running.endInput();
  const { stdout, stderr } = await running.finished;
  return {
    code: Number(/^ended with (\d+)$/m.exec(stdout)?.[1] ?? -1),
    version: /^version .*?(\d+(?:\.\d+)+)/m.exec(stdout)?.[1] ?? "",
    said: stdout + stderr,
    found,
  };
}

/** An empty directory, gone with all that was put there. */
async function openWorkspace(world: World) {
  const path = await mkdtemp(join(world.paths.workspace, "client-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
