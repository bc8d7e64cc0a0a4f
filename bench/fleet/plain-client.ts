import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { NONCE_HEADER, PROBLEM_HEADER, SILENCE, SilentPeers } from "@gatehouse/kit";

/** A method as it is called: what it takes, what it answers. */
type Method<I extends DescMessage, O extends DescMessage> = DescMethod & { readonly input: I; readonly output: O };

export interface CallOptions<O extends DescMessage> {
  readonly headers: Readonly<Record<string, string>>;
  readonly onMessage: (message: MessageShape<O>, bytes: number) => void;
}

export interface PlainCall<I extends DescMessage> {
  send(message: MessageInitShape<I>): void;
  end(): void;
  /** Settles with the nonce that came along when the call has ended. Fails with a `RefusedCall` where it was refused. */
  readonly ended: Promise<string>;
}

export class RefusedCall extends Error {
  readonly problem: string;
  readonly nonce: string;

  constructor(problem: string, nonce: string) {
    super(`a call was refused: ${problem}`);
    this.problem = problem;
    this.nonce = nonce;
  }
}

const PREFIX_BYTES = 5;

/**
 * A TLS connection of its own and gRPC in its simplest form. A library's client takes more of the two cores than the
 * server that is measured on them, and the server looks no different to it.
 */
export class PlainClient implements Disposable {
  readonly #session: ClientHttp2Session;
  readonly #peers = new SilentPeers(SILENCE.ofOpener);

  constructor(origin: string) {
    // Nobody else is asked: the server of the same bench.
    this.#session = connect(origin, { rejectUnauthorized: false });
    this.#session.on("error", () => undefined);
    this.#session.once("close", () => this.#peers[Symbol.dispose]());
    this.#peers.watch(this.#session);
  }

  /** One message there, and what comes back. */
  async ask<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    message: MessageInitShape<I>,
    options: CallOptions<O>,
  ): Promise<string> {
    const call = this.open(method, options);
    call.send(message);
    call.end();
    return call.ended;
  }

  open<I extends DescMessage, O extends DescMessage>(
    { parent, name, input, output }: Method<I, O>,
    { headers, onMessage }: CallOptions<O>,
  ): PlainCall<I> {
    const own = { ":method": "POST", ":path": `/${parent.typeName}/${name}`, te: "trailers" };
    const stream = this.#session.request({ ...own, "content-type": "application/grpc+proto", ...headers });
    const ended = Promise.withResolvers<string>();
    let heard: IncomingHttpHeaders = {};
    stream.once("response", (answer) => {
      heard = answer;
    });
    stream.once("trailers", (trailers) => {
      heard = { ...heard, ...trailers };
    });
    stream.on("error", ended.reject);
    stream.once("close", () => {
      const nonce = String(heard[NONCE_HEADER.toLowerCase()] ?? "");
      if (heard["grpc-status"] === "0") ended.resolve(nonce);
      else ended.reject(new RefusedCall(String(heard[PROBLEM_HEADER.toLowerCase()] ?? "the stream broke"), nonce));
    });
    readMessages(stream, (bytes) => onMessage(fromBinary(output, bytes), bytes.length));
    return {
      send: (message) => void stream.write(encodeEnvelope(0, toBinary(input, create(input, message)))),
      end: () => void stream.end(),
      ended: ended.promise,
    };
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }
}

function readMessages(stream: NodeJS.ReadableStream, onMessage: (bytes: Uint8Array) => void): void {
  let held: Buffer = Buffer.alloc(0);
  stream.on("data", (chunk: Buffer) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    while (held.length >= PREFIX_BYTES) {
      const end = PREFIX_BYTES + held.readUInt32BE(1);
      if (held.length < end) break;
      onMessage(held.subarray(PREFIX_BYTES, end));
      held = held.subarray(end);
    }
  });
}
