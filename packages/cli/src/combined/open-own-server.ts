import { existsSync } from "node:fs";
import { join } from "node:path";
import { Problem } from "@gatehouse/core";
import type { Log } from "@gatehouse/kit";
import { describeEnrolledHost } from "@gatehouse/node";
import { type Invocation, isSet } from "../invocation.ts";
import { type ControlPlane, openControlPlane } from "../server/open-control-plane.ts";
import { joinOwnServer } from "./join-own-server.ts";

/** Opens the server of an installation that is server and node in one, and makes this host its node. */
export async function openOwnServer(invocation: Invocation, log: Log, signal: AbortSignal): Promise<ControlPlane> {
  for (const [name, flag] of [
    ["takeOver", "--take-over"],
    ["untilEmpty", "--until-empty"],
  ] as const) {
    if (isSet(invocation, name)) throw new Problem("usage.invalid", { detail: `${flag} does not go with --listen.` });
  }
  await refuseForeignHost(invocation.config.state.dir);
  const plane = await openControlPlane(invocation, log);
  try {
    const { url: origin, setupCodeFile } = plane;
    await joinOwnServer({ stateDir: invocation.config.state.dir, origin, setupCodeFile }, signal);
    return plane;
  } catch (failure) {
    await plane[Symbol.asyncDispose]();
    throw failure;
  }
}

/** A host that is, or is becoming, a node of a server that is not here: nothing of a second one is begun beside it. */
async function refuseForeignHost(stateDir: string): Promise<void> {
  const { server } = await describeEnrolledHost(stateDir);
  if (server === null || existsSync(join(stateDir, "server", "identity.key"))) return;
  throw new Problem("enroll.other_server", { detail: `It is ${server}.` });
}
