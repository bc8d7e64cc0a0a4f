import { Ack_Status, type CommandPayload } from "@gatehouse/wire";
import type { CommandOutcome } from "./command-journal.ts";

type Kind = CommandPayload["kind"];
export type CommandKind = NonNullable<Kind["case"]>;
type ValueOf<K extends CommandKind> = Extract<Kind, { readonly case: K }>["value"];

export interface CommandContext {
  readonly commandId: string;
  /** Who gave it, by the server's word; fit for the audit log. */
  readonly actor: string;
  /** Aborts when the daemon ends. */
  readonly signal: AbortSignal;
}

/** Does what a command asks for, once. What it throws is the command's end: a refusal by the rules, or INTERNAL. */
export type CommandHandler<K extends CommandKind> = (
  asked: ValueOf<K>,
  context: CommandContext,
) => Promise<Partial<CommandOutcome>>;

/** Who does what. A kind without a row is one that this node cannot do. */
export type CommandHandlers = { readonly [K in CommandKind]?: CommandHandler<K> };

/** `undefined`: there is nobody for it. */
export function handlerOf(handlers: CommandHandlers, { kind }: CommandPayload) {
  if (kind.case === undefined) return undefined;
  // The row of a case takes the value of that case.
  const handler = handlers[kind.case] as CommandHandler<CommandKind> | undefined;
  return handler && ((context: CommandContext) => handler(kind.value, context));
}

export const DONE: CommandOutcome = { status: Ack_Status.OK, message: "", payload: new Uint8Array() };
