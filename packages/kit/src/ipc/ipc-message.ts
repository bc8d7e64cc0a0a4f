import { Problem, toProblem } from "@gatehouse/core";
import { isProblemCode } from "../problem-code.ts";

/** A failure as it crosses the channel: nothing but what anyone may read. */
export interface IpcProblem {
  readonly code: string;
  readonly detail?: string;
}

/** Everything that is ever sent over a channel. `channel` tells our messages from other users' of the same channel. */
export type IpcMessage = { readonly channel: "gatehouse/1" } & (
  | { readonly kind: "call"; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly kind: "result"; readonly id: number; readonly value: unknown }
  | { readonly kind: "failure"; readonly id: number; readonly problem: IpcProblem }
  | { readonly kind: "cancel"; readonly id: number }
  | { readonly kind: "note"; readonly method: string; readonly params: unknown }
);

export const CHANNEL = "gatehouse/1";

/** The other side is our own code of the same build; what is checked is that the message is meant for us. */
export function asIpcMessage(value: unknown): IpcMessage | undefined {
  const isOurs = typeof value === "object" && value !== null && "channel" in value && value.channel === CHANNEL;
  return isOurs ? (value as IpcMessage) : undefined;
}

/** What the caller may see of a failure. */
export function toIpcProblem(failure: unknown): IpcProblem {
  const { code, detail } = toProblem(failure);
  return detail === undefined ? { code } : { code, detail };
}

/** The same failure on the caller's side. A code that this version does not know becomes `internal`. */
export function fromIpcProblem({ code, detail }: IpcProblem): Problem {
  if (!isProblemCode(code)) return new Problem("internal", { detail: `Code ${code}.` });
  return new Problem(code, detail === undefined ? {} : { detail });
}
