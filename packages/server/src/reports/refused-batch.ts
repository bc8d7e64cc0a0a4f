import { Problem } from "@gatehouse/core";
import type { Batch } from "./batch.ts";

/** One batch of an upload that is never taken: its node gives it up and sends the others again. */
export class RefusedBatch extends Problem {
  readonly source: string;
  readonly offset: number;

  constructor(code: "runs.foreign", { source, offset }: Pick<Batch<unknown>, "source" | "offset">) {
    super(code);
    this.source = source;
    this.offset = offset;
  }
}
