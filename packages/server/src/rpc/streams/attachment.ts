import type { MessageInitShape } from "@bufbuild/protobuf";
import { MessageQueue, Problem } from "@gatehouse/core";
import {
  type AttachRunRequest,
  type AttachRunResponseSchema,
  MAX_RUN_STREAM_MESSAGES,
  RunStreamCredit,
  type RunStreamRequest,
  type RunStreamResponseSchema,
} from "@gatehouse/wire";

export type ToOperator = NonNullable<MessageInitShape<typeof AttachRunResponseSchema>["message"]>;
export type ToNode = NonNullable<MessageInitShape<typeof RunStreamResponseSchema>["message"]>;

/** Whose run somebody is attached to, and under which id the node's stream will come. */
export interface AttachmentKey {
  readonly id: string;
  readonly orgId: string;
  /** Whose it is. */
  readonly memberId: string;
  readonly nodeId: string;
  readonly runId: string;
  readonly wantsInput: boolean;
}

/**
 * What passes between an operator and a run's node. Each side reads eagerly, so that a slow one holds up nothing else of
 * a connection; what waits here is bounded by the credit that its reader gave.
 */
export class Attachment {
  readonly key: AttachmentKey;
  readonly toOperator = new MessageQueue<ToOperator>(MAX_RUN_STREAM_MESSAGES);
  readonly toNode = new MessageQueue<ToNode>(MAX_RUN_STREAM_MESSAGES);
  readonly #output = new RunStreamCredit();
  readonly #input = new RunStreamCredit();
  #isJoined = false;

  constructor(key: AttachmentKey) {
    this.key = key;
  }

  /** Whether the node's stream has come. */
  get isJoined(): boolean {
    return this.#isJoined;
  }

  /** Passes on what the operator says. Fails with `stream.broken`. */
  takeFromOperator({ message }: AttachRunRequest): void {
    if (message.case === "open" || message.case === undefined) throw new Problem("stream.broken");
    // Who only looks has no credit for input; its end needs none.
    if (message.case === "inputEnd" && !this.key.wantsInput) throw new Problem("stream.broken");
    if (message.case === "input" && !this.#input.spend(message.value.data)) throw new Problem("stream.broken");
    if (message.case === "outputCreditBytes" && !this.#output.grant(message.value)) throw new Problem("stream.broken");
    this.#pass(this.toNode, message);
  }

  /** Passes on what the node says; its first word is that the run is there. Fails with `stream.broken`. */
  takeFromNode({ message }: RunStreamRequest): void {
    if (message.case === undefined || (message.case === "open") === this.#isJoined) throw new Problem("stream.broken");
    if (message.case === "open") {
      const { inputOffset, takesInput, hasTerminal } = message.value;
      this.#isJoined = true;
      return this.#pass(this.toOperator, { case: "opened", value: { inputOffset, takesInput, hasTerminal } });
    }
    if (message.case === "output" && !this.#output.spend(message.value.data)) throw new Problem("stream.broken");
    if (message.case === "inputCreditBytes" && !this.#input.grant(message.value)) throw new Problem("stream.broken");
    this.#pass(this.toOperator, message);
    if (message.case === "exited") this.end();
  }

  #pass<Message>(queue: MessageQueue<Message>, message: Message): void {
    if (!queue.push(message) && !queue.hasEnded) throw new Problem("stream.broken");
  }

  /** Nothing comes any more; what was said before still arrives. */
  end(): void {
    this.toOperator.end();
    this.toNode.end();
  }

  /** The operator's stream fails, after what was said before; the node's ends. The first end counts. */
  fail(failure: unknown): void {
    this.toOperator.fail(failure);
    this.toNode.end();
  }
}
