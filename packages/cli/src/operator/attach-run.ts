import { setTimeout as delay } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Clock, MessageQueue, Problem, type ProblemCode, toProblem } from "@gatehouse/core";
import { type TerminalSize, toServerProblem } from "@gatehouse/kit";
import {
  type AttachOpened,
  type AttachRunRequest,
  AttachRunRequestSchema,
  type AttachRunResponse,
  MAX_RUN_STREAM_MESSAGES,
  RUN_STREAM_WINDOW_BYTES,
  type RunOutput,
  RunOutput_Stream,
  runStreamCost,
} from "@gatehouse/wire";
import { note } from "../terminal/print.ts";
import type { Operator } from "./open-operator.ts";
import type { FeedTurn, RunInputFeed } from "./run-input.ts";

type Outgoing = NonNullable<MessageInitShape<typeof AttachRunRequestSchema>["message"]>;

export interface AttachOptions {
  /** Works with the server on a connection of its own. */
  readonly reach: (work: (operator: Pick<Operator, "nodes">) => Promise<number>) => Promise<number>;
  readonly clock: Clock;
  readonly nodeId: string;
  readonly runId: string;
  /** Absent: somebody who only looks. */
  readonly input?: RunInputFeed;
  /** Its streams came, for the first time or again. */
  readonly onOpen?: (run: { readonly hasTerminal: boolean }) => void;
  /** Its streams broke; they are asked for again. */
  readonly onLost?: () => void;
  readonly write: (stream: "stdout" | "stderr", bytes: Uint8Array) => Promise<void>;
}

/** What another attempt may bring, on another connection or at another server. */
const PASSING: ReadonlySet<ProblemCode> = new Set(["runs.away", "server.unreachable", "server.timeout", "server.busy"]);
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
/** How long a stream is asked for again, from when it broke or was first asked for. */
const GIVE_UP_MS = 30_000;

/**
 * The streams of a run on a node, held over broken connections until it ends: each byte is written once and, of the
 * input, given once.
 */
export class RunAttachment {
  readonly #options: AttachOptions;
  #offset = 0;
  #outgoing: MessageQueue<AttachRunRequest> | undefined;
  readonly #left = new AbortController();
  #isOpen = false;
  /** Signals that came while no stream was open. */
  #waiting: readonly string[] = [];
  #hasTerminal = false;
  #isDetached = false;
  #lastOpenMs: number;

  constructor(options: AttachOptions) {
    this.#options = options;
    this.#lastOpenMs = options.clock.monotonicMs();
  }

  /** Of the next byte of output. */
  get offset(): number {
    return this.#offset;
  }

  /** Sends a signal to the run; false while no stream is open: it goes with the next one. */
  signal(name: string): boolean {
    if (this.#isOpen && this.#send({ case: "signal", value: name })) return true;
    if (!this.#waiting.includes(name)) this.#waiting = [...this.#waiting, name];
    return false;
  }

  /** A signal waits for a stream. */
  get hasSignal(): boolean {
    return this.#waiting.length > 0;
  }

  /** Tells the run's terminal of the size of its window. */
  resize({ rows, columns }: TerminalSize): void {
    if (this.#hasTerminal) this.#send({ case: "resize", value: { rows, columns } });
  }

  /** Asks no more for streams that broke, and fails with these words; false while they are there. */
  leave(why: string): boolean {
    if (!this.#isOpen) this.#left.abort(new Problem("usage.cancelled", { detail: why }));
    return !this.#isOpen;
  }

  /** Leaves the run to itself and whoever attaches next. */
  detach(): void {
    this.#isDetached = true;
    this.#left.abort(new Problem("usage.cancelled"));
  }

  get isDetached(): boolean {
    return this.#isDetached;
  }

  /**
   * Answers the run's exit code. Fails with `usage.cancelled` when it was left or detached from; with `runs.away`,
   * `server.…` when its streams could not be reached for a while; with `runs.taken_over`, `commands.refused` and
   * whatever else the server says at once.
   */
  async untilEnded(): Promise<number> {
    const { reach, clock, onLost } = this.#options;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const openedMs = this.#lastOpenMs;
      try {
        return await reach((operator) => this.#attach(operator));
      } catch (failure) {
        this.#left.signal.throwIfAborted();
        const { code } = toProblem(failure);
        if (!PASSING.has(code) || clock.monotonicMs() - this.#lastOpenMs > GIVE_UP_MS) throw failure;
      }
      if (this.#lastOpenMs !== openedMs) {
        pauseMs = FIRST_PAUSE_MS;
        onLost?.();
      }
      await delay(Math.random() * pauseMs);
    }
  }

  async #attach({ nodes }: Pick<Operator, "nodes">): Promise<number> {
    const { nodeId, runId, input } = this.#options;
    this.#outgoing = new MessageQueue<AttachRunRequest>(MAX_RUN_STREAM_MESSAGES);
    const open = { nodeId, runId, offset: BigInt(this.#offset), wantsInput: input !== undefined };
    this.#send({ case: "open", value: open });
    this.#send({ case: "outputCreditBytes", value: BigInt(RUN_STREAM_WINDOW_BYTES) });
    try {
      return await this.#read(nodes.attachRun(this.#outgoing, { timeoutMs: 0, signal: this.#left.signal }));
    } catch (failure) {
      throw toServerProblem(failure);
    } finally {
      this.#outgoing.end();
      this.#outgoing = undefined;
      if (this.#isOpen) this.#lastOpenMs = this.#options.clock.monotonicMs();
      this.#isOpen = false;
    }
  }

  async #read(answers: AsyncIterable<AttachRunResponse>): Promise<number> {
    using turns = new DisposableStack();
    let turn: FeedTurn | undefined;
    for await (const { message } of answers) {
      if (message.case === "opened") turn = turns.use(this.#begin(message.value));
      else if (message.case === "inputCreditBytes") turn?.grant(message.value);
      else if (message.case === "output") await this.#write(message.value);
      else if (message.case === "exited") return message.value.code;
    }
    throw new Problem("runs.away");
  }

  #begin({ inputOffset, takesInput, hasTerminal }: AttachOpened): FeedTurn | undefined {
    this.#isOpen = true;
    this.#hasTerminal = hasTerminal;
    this.#options.onOpen?.({ hasTerminal });
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const name of waiting) this.signal(name);
    if (!takesInput) return undefined;
    return this.#options.input?.begin(Number(inputOffset), (value) => void this.#send(value));
  }

  async #write({ stream, offset, data }: RunOutput): Promise<void> {
    const lost = Number(offset) - this.#offset;
    if (lost > 0) note(`${lost} bytes of the run's output are no longer kept`);
    await this.#options.write(stream === RunOutput_Stream.STDERR ? "stderr" : "stdout", data);
    this.#offset = Number(offset) + data.length;
    this.#send({ case: "outputCreditBytes", value: BigInt(runStreamCost(data)) });
  }

  #send(message: Outgoing): boolean {
    return this.#outgoing?.push(create(AttachRunRequestSchema, { message })) ?? false;
  }
}
