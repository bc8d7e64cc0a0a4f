import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Roster } from "@gatehouse/core";
import type { SigningKey } from "@gatehouse/kit";
import { OperatorFiles } from "../../packages/cli/src/operator/operator-files.ts";
import { type Measured, startCommand } from "../process.ts";
import { seedFleet } from "./seed-fleet.ts";
import type { NodeSeed, ServerSeed } from "./simulated-node.ts";

/** As the product's unit and image start it. */
const RUNTIME = ["--disable-sigusr1", "--max-semi-space-size=16"];
const PRODUCT = fileURLToPath(new URL("../../dist/gatehouse.js", import.meta.url));

export interface PreparedFleet {
  readonly server: ServerSeed;
  readonly seeds: readonly NodeSeed[];
  /** The state directory of a member who may do everything. */
  readonly operatorDir: string;
  readonly orgKey: SigningKey;
  /** As it names the seeded nodes. */
  readonly roster: Roster;
}

/** Makes an organisation by the product's own commands, then the nodes, with the server stopped. */
export async function prepareFleet(directory: string, count: number): Promise<PreparedFleet> {
  for (const name of ["s", "o"]) mkdirSync(join(directory, name), { mode: 0o700 });
  const operatorDir = join(directory, "o");
  const server = await startServer(directory, undefined);
  const own = ["--setup-code-file", join(directory, "s/setup-code"), "--state-dir", operatorDir, "--json"];
  const init = ["org", "init", "--server", server.url, "--org", "bench", "--owner", "bench", ...own];
  const { org_id } = JSON.parse(execFileSync(process.execPath, [PRODUCT, ...init], { encoding: "utf8" }));
  await server[Symbol.asyncDispose]();
  const known = JSON.parse(readFileSync(join(operatorDir, "operator/server.json"), "utf8"));
  const { signing: orgKey } = await (await OperatorFiles.open(operatorDir)).openOrgKeys();
  const database = join(directory, "s/server/server.db");
  const { seeds, roster, rosterSha256 } = seedFleet(database, { orgId: org_id, orgKey }, count);
  const { server_identity_key: identityKey } = known;
  return { server: { url: server.url, identityKey, rosterSha256 }, seeds, operatorDir, orgKey, roster };
}

/** Starts the product's server over the directory; at the address that it had before, where there was one. */
export async function startServer(
  directory: string,
  url: string | undefined,
): Promise<Measured & { readonly url: string }> {
  const listen = url === undefined ? "127.0.0.1:0" : new URL(url).host;
  const args = ["server", "--state-dir", join(directory, "s"), "--listen", listen, "--json"];
  const env = { ...process.env, GATEHOUSE_LOG_LEVEL: "error" };
  const started = startCommand(process.execPath, [...RUNTIME, PRODUCT, ...args], env);
  const [line] = (await once(started.child.stdout ?? process.stdin, "data")) as [Buffer];
  return { ...started, url: (JSON.parse(line.toString()) as { url: string }).url };
}
