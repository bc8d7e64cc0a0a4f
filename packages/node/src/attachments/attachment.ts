import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { linkSignals, MessageQueue, Problem } from "@gatehouse/core";
import {
  affordableBytes,
  type CheckMessage,
  MAX_RUN_STREAM_MESSAGES,
  type OpenRunStream,
  RUN_STREAM_WINDOW_BYTES,
  type RunInput,
  RunOutput_Stream,
  RunStreamCredit,
  type RunStreamRequest,
  RunStreamRequestSchema,
  type RunStreamResponse,
  RunStreamResponseSchema,
  runStreamCost,
} from "@gatehouse/wire";
import { sizeOf } from "../commands/size-of.ts";
import type { KeptStreams } from "../runs/keeper-link.ts";
import { readOutput } from "../runs/read-output.ts";
import type { FindStreamed, Streamed } from "../runs/streamed.ts";
import type { NodeSession } from "../uplink/node-session.ts";
import { Bell } from "./bell.ts";
import { watchRun } from "./watch-run.ts";

export interface AttachmentDeps {
  readonly streamed: FindStreamed;
  readonly check: CheckMessage;
}

type Outgoing = NonNullable<MessageInitShape<typeof RunStreamRequestSchema>["message"]>;
type Given = { readonly input: RunInput } | "end";

const STREAMS = { stdout: RunOutput_Stream.STDOUT, stderr: RunOutput_Stream.STDERR } as const;

/** The streams of one run for one who is attached: output from where it was asked for, input, signals, the end. */
export class Attachment {
  readonly #asked: OpenRunStream;
  readonly #deps: AttachmentDeps;
  readonly #run: Streamed;
  readonly #outgoing = new MessageQueue<RunStreamRequest>(MAX_RUN_STREAM_MESSAGES);
  readonly #input = new MessageQueue<Given>(MAX_RUN_STREAM_MESSAGES);
  readonly #credit = new RunStreamCredit();
  readonly #inputCredit = new RunStreamCredit();
  readonly #bell = new Bell();
  /** Of the next byte that is sent. */
  #outputOffset = 0;
  /** Of what was given to the run. */
  #inputOffset = 0;
  #hasEnded = false;

  constructor(asked: OpenRunStream, deps: AttachmentDeps) {
    this.#asked = asked;
    this.#deps = deps;
    this.#run = deps.streamed(asked.runId);
  }

  /** Serves until the run is over, whoever is attached leaves, or the connection or `signal` ends. Fails as they do. */
  async serve(session: NodeSession, signal: AbortSignal): Promise<void> {
    const left = new AbortController();
    using linked = linkSignals(signal, left.signal);
    const { inputOffset, hasTerminal } = await this.#streamsOfRun();
    this.#inputOffset = inputOffset ?? 0;
    const { runId, attachmentId } = this.#asked;
    const takesInput = inputOffset !== undefined;
    const open = { runId, attachmentId, inputOffset: BigInt(this.#inputOffset), takesInput, hasTerminal };
    this.#send({ case: "open", value: open });
    if (takesInput) this.#grantInput(RUN_STREAM_WINDOW_BYTES);
    const answers = session.gateway.runStream(this.#outgoing, { signal: linked.signal, timeoutMs: 0 });
    const tasks = [this.#sendOutput(), this.#giveInput(linked.signal)].map((task) =>
      task.catch((failure: unknown) => this.#outgoing.fail(failure)),
    );
    try {
      for await (const answer of answers) await this.#receive(answer);
    } finally {
      this.#hasEnded = true;
      left.abort();
      this.#bell.ring();
      this.#input.end();
      this.#outgoing.end();
      await Promise.all(tasks);
    }
  }

  /** Of one that ended, or whose keeper is gone, only the output is left. */
  async #streamsOfRun(): Promise<KeptStreams> {
    const streams = this.#run.code() === undefined ? await this.#run.keeper.streams() : undefined;
    const { hasTerminal = false, inputOffset } = streams ?? {};
    return this.#asked.wantsInput ? { hasTerminal, inputOffset } : { hasTerminal };
  }

  #send(message: Outgoing): void {
    if (!this.#outgoing.push(create(RunStreamRequestSchema, { message }))) this.#outgoing.end();
  }

  /** Sends what the run wrote as fast as it is taken, and its end. */
  async #sendOutput(): Promise<void> {
    const { directory, code } = this.#run;
    using _watched = watchRun(directory, () => this.#bell.ring());
    this.#outputOffset = Number(this.#asked.offset);
    while (!this.#hasEnded) {
      // Asked before reading: what an ended run wrote is all there.
      const exit = code();
      const sent = await this.#sendPiece(directory);
      if (sent === "all" && exit !== undefined) return this.#end(exit);
      if (sent !== "some") await this.#bell.wait();
    }
  }

  /** Sends as much as credit is there for; `all`: there is nothing that was not sent. */
  async #sendPiece(directory: string): Promise<"some" | "none" | "all"> {
    const limit = affordableBytes(this.#credit.left);
    if (limit === 0) return "none";
    const { offset, parts, isAtEnd } = await readOutput(directory, { from: this.#outputOffset, limit });
    if (parts.length === 0) return isAtEnd ? "all" : "none";
    this.#outputOffset = offset;
    for (const { stream, data } of parts) {
      // Each part costs by itself: the last ones may have to wait.
      if (!this.#credit.spend(data)) return "some";
      this.#send({ case: "output", value: { stream: STREAMS[stream], offset: BigInt(this.#outputOffset), data } });
      this.#outputOffset += data.length;
    }
    return "some";
  }

  #end(code: number): void {
    this.#send({ case: "exited", value: { code } });
    this.#outgoing.end();
  }

  async #receive(answer: RunStreamResponse): Promise<void> {
    this.#deps.check(RunStreamResponseSchema, answer);
    const { message } = answer;
    switch (message.case) {
      case "outputCreditBytes":
        if (!this.#credit.grant(message.value)) throw new Problem("stream.broken");
        return this.#bell.ring();
      case "input":
        if (!this.#inputCredit.spend(message.value.data)) throw new Problem("stream.broken");
        return void this.#input.push({ input: message.value });
      case "inputEnd":
        return void this.#input.push("end");
      case "signal":
        // One that ended meanwhile needs none; its end is on its way.
        return void (await this.#run.keeper.signal(message.value).catch(() => undefined));
      case "resize":
        await this.#run.keeper.resize(sizeOf(message.value)).catch(() => undefined);
        return;
      default:
        return; // what a newer server says beside
    }
  }

  /** Passes input on, one piece after the other, and lets as much come as was taken. */
  async #giveInput(signal: AbortSignal): Promise<void> {
    for await (const given of this.#input) {
      const data = given === "end" ? new Uint8Array() : given.input.data;
      const offset = given === "end" ? this.#inputOffset : Number(given.input.offset);
      const isLast = given === "end";
      // A run that ended takes nothing more: its end is on its way.
      if (!(await this.#run.keeper.giveInput({ offset, data, isLast }, signal))) return;
      this.#inputOffset = Math.max(this.#inputOffset, offset + data.length);
      if (!isLast) this.#grantInput(runStreamCost(data));
    }
  }

  #grantInput(bytes: number): void {
    this.#inputCredit.grant(BigInt(bytes));
    this.#send({ case: "inputCreditBytes", value: BigInt(bytes) });
  }
}
