import { Problem } from "@gatehouse/core";
import type { TerminalSize } from "@gatehouse/kit";
import * as z from "zod";
import { terminalSchema } from "../keeper/launch-file.ts";
import { argument } from "./create-request.ts";

const MAX_TIMEOUT_MS = 2 ** 31 - 1;

const execSchema = z.strictObject({
  command: z.array(argument).min(1).max(4_096),
  env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), argument).default({}),
  workdir: argument.default(""),
  timeout_ms: z.number().int().min(0).max(MAX_TIMEOUT_MS).default(0),
  terminal: terminalSchema.optional(),
});

/** What `POST /v1/sandboxes/{id}/exec` asks for. */
export interface ExecRequest {
  readonly command: readonly string[];
  /** Beside the run's own variables. */
  readonly env: Readonly<Record<string, string>>;
  /** A directory inside, from the run's workspace on; empty: that. */
  readonly workdir: string;
  /** 0: as long as it takes. */
  readonly timeoutMs: number;
  /** It gets a terminal of this size. */
  readonly terminal?: TerminalSize;
}

/** Reads a request strictly. Fails with `api.malformed`. */
export function parseExecRequest(body: unknown): ExecRequest {
  const parsed = execSchema.safeParse(body);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Problem("api.malformed", { detail: `${issue?.path.join(".") ?? "body"}: ${issue?.message ?? "wrong"}.` });
  }
  const { timeout_ms: timeoutMs, terminal, ...rest } = parsed.data;
  return { ...rest, timeoutMs, ...(terminal === undefined ? {} : { terminal }) };
}
