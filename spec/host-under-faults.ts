import { existsSync } from "node:fs";
import {
  countRecorded,
  type Fleet,
  productCommand,
  type RunningCommand,
  recordCalls,
  startFleet,
} from "@gatehouse/testbed";
import { expect } from "vitest";

export const SYNC = "fsync";

/** What a person does on one host, by itself and under a tracer. */
class HostUnderFaults {
  readonly #fleet: Fleet;
  readonly name: string;
  #fingerprint = "";

  constructor(fleet: Fleet, name: string) {
    this.#fleet = fleet;
    this.name = name;
  }

  get #codeFile(): string {
    return this.#fleet.path(`${this.name}.code`);
  }

  async createCode(): Promise<void> {
    await this.#fleet.operator(["nodes", "enroll-code", "--out", this.#codeFile]);
  }

  /** `node enroll`, and a person who confirms the fingerprint as soon as it is shown. Whether it came to its end. */
  async enroll(inside: readonly string[] = []): Promise<boolean> {
    const own = ["--server", this.#fleet.url, "--name", this.name, "--code-file", this.#codeFile];
    const enrolling = this.#start(["enroll", ...own], inside);
    const isShown = (line: string) => line.includes("fingerprint") || line.includes('"confirmed"');
    const shown = await enrolling.line("the fingerprint", isShown).catch(() => "{}");
    const { fingerprint } = JSON.parse(shown) as { readonly fingerprint?: string };
    if (fingerprint !== undefined) await this.#confirm(fingerprint);
    return (await enrolling.finished).code === 0;
  }

  async #confirm(fingerprint: string): Promise<void> {
    expect([fingerprint, ""]).toContain(this.#fingerprint);
    if (this.#fingerprint !== "") return;
    await this.#fleet.operator(["nodes", "confirm", this.name, "--fingerprint", fingerprint]);
    this.#fingerprint = fingerprint;
  }

  /** Whether the command ended well. */
  async does(verb: "refresh" | "rotate" | "leave", inside: readonly string[] = []): Promise<boolean> {
    return (await this.#start([verb], inside).finished).code === 0;
  }

  #start(args: readonly string[], inside: readonly string[] = []): RunningCommand {
    const own = ["node", ...args, "--state-dir", this.#fleet.path(this.name), "--json"];
    return this.#fleet.startOther([...inside, ...productCommand(), ...own]);
  }

  async status(): Promise<string> {
    const { state } = await this.#fleet.json(["node", "status", "--state-dir", this.#fleet.path(this.name)]);
    return state;
  }

  /** Whether an API key is there. */
  get hasKey(): boolean {
    return existsSync(this.#fleet.path(this.name, "api.key"));
  }

  /** The server's rows of this name. */
  async rows(): Promise<readonly { readonly state: string }[]> {
    const nodes: readonly { readonly name: string; readonly state: string }[] = await this.#fleet.operator([
      "nodes",
      "ls",
    ]);
    return nodes.filter(({ name }) => name === this.name);
  }
}

/** A server with an organisation, and hosts as many as are wanted. */
export async function openHosts() {
  const fleet = await startFleet();
  await fleet.initOrg();
  let made = 0;
  const next = () => {
    made += 1;
    return new HostUnderFaults(fleet, `n${made}`);
  };
  /** How often a command synchronises when nothing breaks. */
  const count = async (play: (inside: readonly string[]) => Promise<boolean>) => {
    const path = fleet.path("calls");
    expect(await play(recordCalls(path, [SYNC]))).toBe(true);
    return (await countRecorded(path, [SYNC]))[SYNC];
  };
  return { fleet, next, count, [Symbol.asyncDispose]: () => fleet[Symbol.asyncDispose]() };
}
