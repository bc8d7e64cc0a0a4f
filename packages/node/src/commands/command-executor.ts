import { setTimeout as delay } from "node:timers/promises";
import { Lifetime, type ProblemRow, toCanonicalText, toProblem } from "@gatehouse/core";
import type { Log } from "@gatehouse/kit";
import { Ack_Status, type Command, type CommandHeader, type CommandPayload } from "@gatehouse/wire";
import { type CommandHandlers, DONE, handlerOf } from "./command-handlers.ts";
import type { CommandJournal, CommandOutcome } from "./command-journal.ts";
import { type CommandCourt, judgeCommand, type Verdict } from "./judge-command.ts";

/** A command's end on its way to the server. */
export interface CommandAck extends CommandOutcome {
  readonly commandId: string;
}

export interface ExecutorDeps {
  readonly journal: CommandJournal;
  readonly handlers: CommandHandlers;
  readonly log: Log;
  /** Durable when it resolves. */
  readonly putOnRecord: (event: CommandEvent) => Promise<void>;
  /** Sends an end, or does nothing while no server is there: ends are sent again. */
  readonly sendAck: (ack: CommandAck) => void;
}

/** What the node's audit log says of a command. */
export interface CommandEvent {
  readonly kind: "command.accepted" | "command.refused" | "command.finished";
  readonly actor: string;
  readonly data: Readonly<Record<string, string | number>>;
}

const MAX_IN_FLIGHT = 8;
const KEEP_AGAIN_MS = 1_000;
const MAX_MESSAGE_BYTES = 4_096;
const MAX_ACTOR_CHARACTERS = 256;

const STATUS_OF: Readonly<Record<ProblemRow["rpc"], Ack_Status>> = {
  invalid_argument: Ack_Status.BAD_REQUEST,
  not_found: Ack_Status.BAD_REQUEST,
  already_exists: Ack_Status.BAD_REQUEST,
  unauthenticated: Ack_Status.FORBIDDEN,
  permission_denied: Ack_Status.FORBIDDEN,
  failed_precondition: Ack_Status.INCAPABLE,
  unimplemented: Ack_Status.INCAPABLE,
  resource_exhausted: Ack_Status.BUSY,
  unavailable: Ack_Status.INTERNAL,
  deadline_exceeded: Ack_Status.INTERNAL,
  internal: Ack_Status.INTERNAL,
};

/** Executes commands at most once: judged, on record and in the journal before anything is done. */
export class CommandExecutor implements AsyncDisposable {
  readonly #deps: ExecutorDeps;
  readonly #life = new Lifetime();
  #inFlight = 0;

  constructor(deps: ExecutorDeps) {
    this.#deps = deps;
  }

  /** Takes a command; its end is sent when it is there. Returns when it was accepted or refused. */
  async take(command: Command, court: Omit<CommandCourt, "journal">): Promise<void> {
    const verdict = judgeCommand(command, { ...court, journal: this.#deps.journal });
    const commandId = command.header?.commandId ?? "";
    if (verdict.kind === "known") return this.#answerKnown(verdict);
    if (verdict.kind === "refuse")
      return this.#refuse(command, { ...DONE, status: verdict.status, message: verdict.why });
    const run = handlerOf(this.#deps.handlers, verdict.payload);
    if (run === undefined) return this.#refuse(command, { ...DONE, status: Ack_Status.INCAPABLE, message: INCAPABLE });
    if (this.#inFlight >= MAX_IN_FLIGHT) return this.#refuse(command, { ...DONE, status: Ack_Status.BUSY });
    this.#inFlight += 1;
    try {
      const { kind: accepted } = verdict.payload;
      await this.#record("command.accepted", verdict.header, { command_kind: accepted.case ?? "" });
      this.#deps.journal.accept(verdict.header);
    } catch (failure) {
      this.#inFlight -= 1;
      return this.#fail(commandId, failure);
    }
    this.#deps.log.info("command accepted", { commandId });
    const actor = actorOf(verdict.header);
    this.#life.run((signal) => this.#execute(verdict, () => run({ commandId, actor, signal })));
  }

  /** Sends every end that the server has not said it has. */
  resend(): void {
    for (const { commandId, outcome } of this.#deps.journal.unreceived()) {
      if (outcome !== undefined) this.#deps.sendAck({ commandId, ...outcome });
    }
  }

  async #execute(
    { header }: { readonly header: CommandHeader; readonly payload: CommandPayload },
    run: () => Promise<Partial<CommandOutcome>>,
  ): Promise<void> {
    const { commandId } = header;
    const outcome = await run().then(
      (done) => ({ ...DONE, ...done }),
      // A failure that comes of the daemon's own end is no outcome: the journal says so at the next start.
      (failure: unknown) => (this.#life.signal.aborted ? undefined : outcomeOf(failure)),
    );
    if (outcome === undefined) return;
    const { status, payload } = outcome;
    const kept = { status, message: shortened(outcome.message), payload };
    await this.#keep(commandId, kept);
    this.#inFlight -= 1;
    this.#deps.log.info("command finished", { commandId, status: Ack_Status[status] });
    this.#deps.sendAck({ commandId, ...kept });
    await this.#record("command.finished", header, { status: Ack_Status[status] }).catch((failure: unknown) => {
      this.#deps.log.error("command's end is not on record", { commandId, failure });
    });
  }

  /** An end that the disk refuses is tried again until it is there: until then nobody is told of it. */
  async #keep(commandId: string, outcome: CommandOutcome): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return this.#deps.journal.finish(commandId, outcome);
      } catch (failure) {
        if (attempt === 0) this.#deps.log.error("command's end could not be kept", { commandId, failure });
        await delay(KEEP_AGAIN_MS, undefined, { signal: this.#life.signal });
      }
    }
  }

  #answerKnown({ header, entry: { commandId, outcome } }: Extract<Verdict, { readonly kind: "known" }>): void {
    try {
      // The server may take the answer for a proof that the node was at this place.
      this.#deps.journal.reach(header);
    } catch (failure) {
      return this.#deps.log.error("command's place could not be kept", { commandId, failure });
    }
    // While it is executed, its end is the answer.
    if (outcome !== undefined) this.#deps.sendAck({ commandId, ...outcome });
  }

  async #refuse({ header }: Command, outcome: CommandOutcome): Promise<void> {
    const commandId = header?.commandId ?? "";
    this.#deps.log.warn("command refused", { commandId, why: outcome.message, status: Ack_Status[outcome.status] });
    const data = { status: Ack_Status[outcome.status], why: outcome.message };
    await this.#record("command.refused", header, data).then(
      () => this.#deps.sendAck({ commandId, ...outcome }),
      (failure: unknown) => this.#fail(commandId, failure),
    );
  }

  /** Nothing was done, and nothing is remembered here. */
  #fail(commandId: string, failure: unknown): void {
    this.#deps.log.error("command could not be put on record", { commandId, failure });
    this.#deps.sendAck({ commandId, ...DONE, status: Ack_Status.INTERNAL, message: toProblem(failure).message });
  }

  /** A header that nobody vouches for is text from outside. */
  #record(kind: CommandEvent["kind"], header: CommandHeader | undefined, more: CommandEvent["data"]): Promise<void> {
    const actor = actorOf(header);
    const data = { command: toCanonicalText((header?.commandId ?? "").slice(0, 64)), seq: Number(header?.seq ?? 0n) };
    return this.#deps.putOnRecord({ kind, actor, data: { ...data, ...more } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#life[Symbol.asyncDispose]();
  }
}

const INCAPABLE = "This node does not do that.";

function actorOf(header: CommandHeader | undefined): string {
  return toCanonicalText((header?.actor ?? "").slice(0, MAX_ACTOR_CHARACTERS)) || "server";
}

function outcomeOf(failure: unknown): CommandOutcome {
  const problem = toProblem(failure);
  return { ...DONE, status: STATUS_OF[problem.row.rpc], message: problem.message };
}

function shortened(text: string): string {
  const bytes = Buffer.from(text);
  return bytes.length <= MAX_MESSAGE_BYTES ? text : bytes.subarray(0, MAX_MESSAGE_BYTES - 4).toString("utf8");
}
