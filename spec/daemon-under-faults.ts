import { randomUUID } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { eventually, type Fleet, listProcesses, productCommand, type RunningCommand } from "@gatehouse/testbed";
import { expect } from "vitest";

const SETTLE_MS = 60_000;

interface RunRow {
  readonly run_id: string;
  readonly state: string;
}

interface EventLine {
  readonly kind: string;
  readonly run: string | null;
}

/** A run that an operator asked for: it writes its mark once. */
interface AskedRun {
  readonly mark: string;
  readonly operator: RunningCommand;
}

/** The daemon of an enrolled host, by itself or under a tracer, and runs that an operator starts on it. */
export class DaemonUnderFaults {
  readonly #fleet: Fleet;
  readonly #name: string;
  readonly #stateDir: string;
  readonly #workspace: string;
  #running: RunningCommand | undefined;
  /** Runs whose start was answered. */
  readonly #answered = new Set<string>();

  private constructor(fleet: Fleet, name: string) {
    this.#fleet = fleet;
    this.#name = name;
    this.#stateDir = fleet.path(name);
    this.#workspace = fleet.path("home", ".local", "share", "gatehouse", "workspaces", name);
  }

  static async open(fleet: Fleet, name: string): Promise<DaemonUnderFaults> {
    const daemon = new DaemonUnderFaults(fleet, name);
    await mkdir(dirname(daemon.#workspace), { recursive: true, mode: 0o700 });
    await mkdir(daemon.#workspace);
    return daemon;
  }

  /** Whether it came so far that it is connected. */
  async start(inside: readonly string[] = []): Promise<boolean> {
    const own = ["node", "run", "--state-dir", this.#stateDir, "--json"];
    const daemon = this.#fleet.startOther([...inside, ...productCommand(), ...own]);
    this.#running = daemon;
    const isConnected = () => daemon.stderr.includes("connected to the server");
    const isDecided = () => isConnected() || !daemon.isRunning;
    // A gate that dies at each start never lets it come that far.
    await eventually("the connection or the end", isDecided, { timeoutMs: SETTLE_MS }).catch(() => undefined);
    return isConnected();
  }

  /** Resolves when the daemon has ended. */
  async ended(): Promise<void> {
    await this.#running?.finished;
  }

  /** Ends it, whatever traces it. Its runs' keepers go on. */
  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const mine = ` node run --state-dir ${this.#stateDir} `;
    for (const { pid, command } of await listProcesses()) {
      if (command.includes(mine) && !command.startsWith("strace")) process.kill(pid, signal);
    }
    await this.#running?.finished;
  }

  /** An operator starts a run that writes its mark. */
  ask(): AskedRun {
    const mark = randomUUID();
    const where = ["--node", this.#name, "--workspace", this.#workspace, "--state-dir", this.#fleet.path("o")];
    const command = ["sh", "-c", `echo ${mark} >> ran`];
    return { mark, operator: this.#fleet.start(["run", ...where, "--detach", "--json", "--", ...command]) };
  }

  /** Once asked and answered: what was said to run has run once, what was not has run at most once. */
  async expectOnce(asked: readonly AskedRun[]): Promise<void> {
    for (const { mark, operator } of asked) {
      const { code, stdout } = await operator.finished;
      if (code === 0) {
        this.#answered.add((JSON.parse(stdout) as RunRow).run_id);
        await eventually(`the mark of ${mark}`, async () => (await this.#marks(mark)) > 0, { timeoutMs: SETTLE_MS });
      }
      expect(await this.#marks(mark)).toBeLessThanOrEqual(1);
    }
  }

  async #marks(mark: string): Promise<number> {
    const text = await readFile(`${this.#workspace}/ran`, "utf8").catch(() => "");
    return text.split("\n").filter((line) => line === mark).length;
  }

  /** Every run has ended, each that was answered is known and told of once, and no keeper or sandbox is left. */
  async expectAllOnRecord(): Promise<void> {
    const runs = await eventually("the end of every run", () => this.#endedRuns(), { timeoutMs: SETTLE_MS });
    expect(runs).toEqual(expect.arrayContaining([...this.#answered]));
    await eventually("the end of every keeper", async () => (await this.#keepers()).length === 0);
    await eventually("all that is told", () => this.#isToldOnce(), { timeoutMs: SETTLE_MS });
    await eventually("the copy of the node's log", () => this.#isCopied(), { timeoutMs: SETTLE_MS });
    const verified = await this.#fleet.json(["audit", "verify", this.#export]);
    expect(verified).toMatchObject({ ok: true, unprotected: 0 });
  }

  async #endedRuns(): Promise<readonly string[] | undefined> {
    const runs: readonly RunRow[] = await this.#fleet.json(["ls", "--state-dir", this.#stateDir]);
    return runs.every(({ state }) => state === "exited") ? runs.map(({ run_id }) => run_id) : undefined;
  }

  async #keepers(): Promise<readonly string[]> {
    const commands = (await listProcesses()).map(({ command }) => command);
    return commands.filter((command) => command.includes("keeper.js") && command.includes(this.#stateDir));
  }

  /** Every end of an answered run has come to the server; fails where one came twice. */
  async #isToldOnce(): Promise<boolean> {
    const { stdout } = await this.#fleet.run(["nodes", "events", "--cursor", "1", ...this.#asOperator, "--json"]);
    const events = stdout.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as EventLine]));
    const ends = events.flatMap(({ kind, run }) => (kind === "run.exited" && run !== null ? [run] : []));
    expect(ends.toSorted()).toEqual([...new Set(ends)].toSorted());
    return [...this.#answered].every((run) => ends.includes(run));
  }

  async #isCopied(): Promise<boolean> {
    const own = ["audit", "export", "--node", this.#name, "--out", this.#export, ...this.#asOperator];
    if ((await this.#fleet.run(own)).code !== 0) return false;
    const text = await readFile(this.#export, "utf8");
    return [...this.#answered].every((run) => text.includes(`"run":"${run}"`));
  }

  get #export(): string {
    return this.#fleet.path(`${this.#name}.jsonl`);
  }

  get #asOperator(): readonly string[] {
    return ["--state-dir", this.#fleet.path("o")];
  }
}

/** Every command that was given has ended once in the organisation's audit log. */
export async function expectCommandsEndedOnce(fleet: Fleet): Promise<void> {
  const file = fleet.path("org.jsonl");
  expect((await fleet.run(["audit", "export", "--out", file, "--state-dir", fleet.path("o")])).code).toBe(0);
  const text = await readFile(file, "utf8");
  const commandsOf = (kinds: string) => {
    const pattern = new RegExp(`"command":"([0-9a-f-]+)".*"kind":"command\\.(?:${kinds})"`);
    return text
      .split("\n")
      .flatMap((line) => pattern.exec(line)?.[1] ?? [])
      .toSorted();
  };
  expect(commandsOf("issued").length).toBeGreaterThan(0);
  expect(commandsOf("finished|refused")).toEqual(commandsOf("issued"));
}
