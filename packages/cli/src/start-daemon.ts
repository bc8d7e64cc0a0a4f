import { resolve } from "node:path";
import { resolveEntry } from "@gatehouse/kit";
import { ensureRunning } from "@gatehouse/node";
import { buildInfo } from "./build-info.ts";
import { type Invocation, textOption } from "./invocation.ts";
import { note } from "./terminal/print.ts";

/** Starts a daemon when none runs, with this command's own settings; it ends by itself when it is not needed. */
export async function startDaemonIfNone(invocation: Invocation): Promise<void> {
  const { config } = invocation;
  const file = textOption(invocation, "config");
  const { isNew } = await ensureRunning({
    stateDir: config.state.dir,
    commit: buildInfo().commit,
    command: [
      process.execPath,
      "--disable-sigusr1",
      resolveEntry("gatehouse"),
      ...["up", "--json", "--until-empty", "--state-dir", config.state.dir],
      ...(file === undefined ? [] : ["--config", resolve(file)]),
    ],
  });
  if (isNew && process.stderr.isTTY === true) note("started the daemon; it ends by itself when it has no runs");
}
