import type {
  DescMessage,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  Message,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { ContextValues } from "@connectrpc/connect";

export interface PlainCall {
  readonly values: ContextValues;
  /** Aborts when the caller has gone, or the server closes. */
  readonly signal: AbortSignal;
}

/** A method, and what answers it: messages in and out are of the method's own types. */
export type PlainMethod = PlainUnary | PlainStream;

interface PlainUnary {
  readonly isStream: false;
  readonly method: DescMethodUnary;
  readonly answer: (message: Message, call: PlainCall) => Promise<object>;
}

interface PlainStream {
  readonly isStream: true;
  readonly method: DescMethodServerStreaming | DescMethodBiDiStreaming;
  readonly answer: (messages: AsyncIterable<Message>, call: PlainCall) => AsyncIterable<object>;
}

export function plainUnary<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  answer: (message: MessageShape<I>, call: PlainCall) => Promise<MessageInitShape<O>>,
): PlainMethod {
  return { isStream: false, method, answer: (message, call) => answer(message as MessageShape<I>, call) };
}

/** Of a method that takes one message. */
export function plainServerStream<I extends DescMessage, O extends DescMessage>(
  method: DescMethodServerStreaming<I, O>,
  answer: (message: MessageShape<I>, call: PlainCall) => AsyncIterable<MessageInitShape<O>>,
): PlainMethod {
  const answerAll = async function* (messages: AsyncIterable<Message>, call: PlainCall) {
    for await (const message of messages) yield* answer(message as MessageShape<I>, call);
  };
  return { isStream: true, method, answer: answerAll };
}

export function plainBidi<I extends DescMessage, O extends DescMessage>(
  method: DescMethodBiDiStreaming<I, O>,
  answer: (messages: AsyncIterable<MessageShape<I>>, call: PlainCall) => AsyncIterable<MessageInitShape<O>>,
): PlainMethod {
  return {
    isStream: true,
    method,
    answer: (messages, call) => answer(messages as AsyncIterable<MessageShape<I>>, call),
  };
}
