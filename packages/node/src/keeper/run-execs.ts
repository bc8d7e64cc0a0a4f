import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Lifetime, Problem } from "@gatehouse/core";
import { removeFile } from "@gatehouse/kit";
import { EXEC_FILE, EXECS_FOLDER, execSchema } from "./exec-file.ts";
import type { Launch } from "./launch-file.ts";
import { openNamespaces } from "./open-namespaces.ts";
import { reportExecExited } from "./report.ts";
import { openExec, type RunExec } from "./run-exec.ts";

/** Commands at a time beside the run's own. */
const MAX_LIVE = 16;

export interface ExecPlace {
  readonly launch: Pick<Launch, "stateDir" | "runId" | "runDir" | "env">;
  readonly initPid: number;
  /** The run's command was released and has not ended. */
  readonly isRunning: () => boolean;
}

interface Followed {
  readonly execId: string;
  readonly directory: string;
  readonly signal: AbortSignal;
}

/** Further commands in a run. Disposing ends them. */
export class RunExecs implements AsyncDisposable {
  readonly #place: ExecPlace;
  readonly #heldInit: number;
  readonly #life = new Lifetime();
  #live = 0;

  /** The init lives: what is opened is its own directory in /proc, whoever has its number later. */
  constructor(place: ExecPlace) {
    this.#place = place;
    this.#heldInit = openSync(`/proc/${place.initPid}`, "r");
    this.#life.defer(() => closeSync(this.#heldInit));
  }

  /** Starts the command whose directory has this name. Fails with `exec.too_many`, `exec.start_failed`. */
  async start(name: string): Promise<void> {
    const { launch, initPid, isRunning } = this.#place;
    const directory = join(launch.runDir, EXECS_FOLDER, name);
    const path = join(directory, EXEC_FILE);
    const asked = execSchema.parse(JSON.parse(await readFile(path, "utf8")));
    await removeFile(path);
    if (!isRunning()) throw new Problem("exec.start_failed", { detail: "The run has ended." });
    if (this.#live >= MAX_LIVE) throw new Problem("exec.too_many", { detail: `${MAX_LIVE} run.` });
    this.#live += 1;
    try {
      using namespaces = await openNamespaces(initPid, this.#heldInit);
      const socketPath = join(launch.stateDir, "keepers", `${name}.sock`);
      const place = { directory, socketPath, namespaces };
      const exec = await openExec({ ...asked, env: { ...launch.env, ...asked.env } }, place);
      this.#life.run((signal) => this.#follow(exec, { execId: asked.execId, directory, signal }));
    } catch (failure) {
      this.#live -= 1;
      throw failure;
    }
  }

  async #follow(exec: RunExec, { execId, directory, signal }: Followed): Promise<void> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    void aborted.then(exec.kill);
    const exit = await exec.exited;
    this.#live -= 1;
    // While its socket is there, nobody takes it for one whose keeper died.
    await reportExecExited(this.#place.launch, { execId, directory }, exit);
    await Promise.race([exec.settled, aborted]);
    await exec[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#life[Symbol.asyncDispose]();
  }
}
