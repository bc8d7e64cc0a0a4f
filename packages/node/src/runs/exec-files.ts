import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "@gatehouse/kit";
import * as z from "zod";
import { EXEC_FILE, EXECS_FOLDER, type ExecLaunch } from "../keeper/exec-file.ts";
import { parseRunEnd, type RunEnd, type RunFiles } from "./run-files.ts";

const recordSchema = z.object({
  execId: z.string(),
  runId: z.string(),
  /** Name of its directory and, with `.sock`, of its socket. */
  keeper: z.string(),
  isHeld: z.boolean(),
  startedAt: z.number(),
  endedAt: z.number().optional(),
  code: z.number().optional(),
});

/** What the daemon knows of a further command in a run. */
export type ExecRecord = Readonly<z.infer<typeof recordSchema>>;

const RECORD = "exec.json";

/** The commands' directories: `runs/<keeper of the run>/execs/<keeper>/`. They go with the run's. */
export class ExecFiles {
  readonly #runs: Pick<RunFiles, "directory">;

  constructor(runs: Pick<RunFiles, "directory">) {
    this.#runs = runs;
  }

  directory(runKeeper: string, keeper: string): string {
    return join(this.#runs.directory(runKeeper), EXECS_FOLDER, keeper);
  }

  async create(runKeeper: string, record: ExecRecord, launch: ExecLaunch): Promise<void> {
    const directory = this.directory(runKeeper, record.keeper);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFileAtomic(join(directory, EXEC_FILE), JSON.stringify(launch));
    await this.write(runKeeper, record);
  }

  async write(runKeeper: string, record: ExecRecord): Promise<void> {
    await writeFileAtomic(join(this.directory(runKeeper, record.keeper), RECORD), JSON.stringify(record));
  }

  async remove(runKeeper: string, keeper: string): Promise<void> {
    await rm(this.directory(runKeeper, keeper), { recursive: true, force: true, maxRetries: 3 });
  }

  /** Every command of a run that left a readable record. */
  async list(runKeeper: string): Promise<readonly ExecRecord[]> {
    const names = await readdir(join(this.#runs.directory(runKeeper), EXECS_FOLDER)).catch(() => []);
    const found = await Promise.all(names.map((name) => this.#read(join(this.directory(runKeeper, name), RECORD))));
    return found.flatMap((record) => record ?? []);
  }

  /** How a command ended whose keeper found no daemon to tell. */
  async end(runKeeper: string, keeper: string): Promise<RunEnd | undefined> {
    try {
      return parseRunEnd(JSON.parse(await readFile(join(this.directory(runKeeper, keeper), "exit.json"), "utf8")));
    } catch {
      return undefined;
    }
  }

  async #read(path: string): Promise<ExecRecord | undefined> {
    try {
      return recordSchema.parse(JSON.parse(await readFile(path, "utf8")));
    } catch {
      return undefined;
    }
  }
}
