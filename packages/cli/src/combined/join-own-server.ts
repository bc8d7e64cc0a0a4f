import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { isResourceName, Problem } from "@gatehouse/core";
import { describeEnrolledHost, enrollHost } from "@gatehouse/node";
import { confirmHost } from "../operator/confirm-hosts.ts";
import { createOrg, putFirstRoster } from "../operator/create-org.ts";
import { asOperator } from "../operator/open-operator.ts";
import { OperatorFiles } from "../operator/operator-files.ts";

export interface OwnServer {
  readonly stateDir: string;
  readonly origin: string;
  readonly setupCodeFile: string;
}

const ORG = "local";
const OWNER = "owner";
const CLAIM_TTL_MS = 60_000n;

/**
 * Makes this host the first node of the server in the same process: an organisation whose key lies beside the rest, and
 * an enrollment without a ceremony, since one person stands at both ends. What is there already stays as it is; killed
 * anywhere, the next start goes on. Fails with `org.joined`, `enroll.other_server`, `org.key_missing`, `server.…`.
 */
export async function joinOwnServer(
  { stateDir, origin, setupCodeFile }: OwnServer,
  signal: AbortSignal,
): Promise<void> {
  const host = await describeEnrolledHost(stateDir);
  if (host.server !== null && host.server !== origin) {
    throw new Problem("enroll.other_server", { detail: `It is ${host.server}; this one is ${origin}.` });
  }
  if (host.state === "enrolled") return;
  await ensureOrg(await OperatorFiles.open(stateDir), { origin, setupCodeFile });
  await putFirstRoster(stateDir);
  const machine = hostname().toLowerCase();
  const name = isResourceName(machine) ? machine : "local";
  const input = { stateDir, serverUrl: origin, name: host.name ?? name, code: () => makeCode(stateDir, name) };
  for await (const progress of enrollHost(input, signal)) {
    if (progress.state !== "awaiting_confirmation") continue;
    await asOperator(stateDir, (operator) => confirmHost(operator, progress.nodeId, progress.fingerprint));
  }
}

async function ensureOrg(files: OperatorFiles, { origin, setupCodeFile }: Omit<OwnServer, "stateDir">): Promise<void> {
  const joined = await files.server();
  if (joined !== undefined) {
    if (joined.url === origin) return;
    throw new Problem("org.joined", { detail: `It is ${joined.org} at ${joined.url}; this server is ${origin}.` });
  }
  const setupCode = await readFile(setupCodeFile, "utf8").catch((cause: unknown) => {
    throw new Problem("org.key_missing", {
      detail: `${setupCodeFile} is gone. Make another: gatehouse server setup-code.`,
      cause,
    });
  });
  await createOrg({ files, origin, name: ORG, owner: OWNER, setupCode: setupCode.trim() });
}

async function makeCode(stateDir: string, name: string): Promise<string> {
  const asked = { name, labels: {}, claimTtlMs: CLAIM_TTL_MS };
  return (await asOperator(stateDir, ({ nodes }) => nodes.createEnrollmentCode(asked))).code;
}
