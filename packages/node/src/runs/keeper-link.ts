import type { TerminalSize } from "@gatehouse/kit";
import * as z from "zod";
import { askKeeper } from "../keeper/ask-keeper.ts";
import type { InputPiece } from "../keeper/run-input.ts";

const streamsSchema = z.object({
  inputOffset: z.number().int().min(0).optional(),
  hasTerminal: z.boolean().default(false),
});
const doneSchema = z.object({ ok: z.literal(true) });
/** A command may read its input a day later. */
const INPUT_WITHIN_MS = 86_400_000;

/** The streams of a run whose output is kept. */
export interface KeptStreams {
  /** How much input it was given so far; `undefined` where it has none that is open. */
  readonly inputOffset?: number | undefined;
  /** They are one terminal. */
  readonly hasTerminal: boolean;
}

/** The keeper of a run, or of a further command in one, while it lives. */
export class KeeperLink {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** Whether somebody is there, who may be slow. */
  async isThere(): Promise<boolean> {
    try {
      return (await askKeeper(this.#socketPath, { op: "status" })) !== undefined;
    } catch {
      return true;
    }
  }

  /** Sends a signal to the command. False where it has ended. */
  async signal(name: string): Promise<boolean> {
    return (await askKeeper(this.#socketPath, { op: "signal", signal: name })) !== undefined;
  }

  /** What its streams are; `undefined` where it is gone. */
  async streams(): Promise<KeptStreams | undefined> {
    return streamsSchema.safeParse(await askKeeper(this.#socketPath, { op: "status" })).data;
  }

  /** Tells its terminal of another size, where it has one. */
  async resize(size: TerminalSize): Promise<void> {
    await askKeeper(this.#socketPath, { op: "resize", size });
  }

  /**
   * Gives a piece of input, which it may take long to read; bytes that it was given before are left out. False where it
   * takes none, or the signal aborts.
   */
  async giveInput({ offset, data, isLast }: InputPiece, signal: AbortSignal): Promise<boolean> {
    const asked = { op: "input", offset, data: Buffer.from(data).toString("base64"), last: isLast };
    const answer = await askKeeper(this.#socketPath, asked, { timeoutMs: INPUT_WITHIN_MS, signal });
    return doneSchema.safeParse(answer).success;
  }
}
