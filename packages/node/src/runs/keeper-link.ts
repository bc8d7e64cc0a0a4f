import * as z from "zod";
import { askKeeper } from "../keeper/ask-keeper.ts";
import type { InputPiece } from "../keeper/run-input.ts";

const inputSchema = z.object({ inputOffset: z.number().int().min(0).optional() });
const doneSchema = z.object({ ok: z.literal(true) });
/** A command may read its input a day later. */
const INPUT_WITHIN_MS = 86_400_000;

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

  /** How much input it was given so far; `undefined` where it has none that is open. */
  async inputOffset(): Promise<number | undefined> {
    return inputSchema.safeParse(await askKeeper(this.#socketPath, { op: "status" })).data?.inputOffset;
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
