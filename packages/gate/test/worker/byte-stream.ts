import type { Socket } from "node:net";
import { eventually } from "@gatehouse/testbed";

/** One side of a connection, read as a test wants to: up to a mark, a number of bytes, or the end. */
export class ByteStream {
  readonly socket: Socket;
  #bytes = Buffer.alloc(0);
  #hasEnded = false;
  #isClosed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
    });
    socket.on("end", () => {
      this.#hasEnded = true;
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#isClosed = true;
    });
  }

  /** Bytes that came and were not read yet. */
  get unread(): Buffer {
    return this.#bytes;
  }

  get isClosed(): boolean {
    return this.#isClosed || this.#hasEnded;
  }

  write(data: string | Buffer): void {
    this.socket.write(data);
  }

  /** Reads up to and with the mark. */
  async readUntil(mark: string): Promise<string> {
    const end = await eventually(`the bytes ${JSON.stringify(mark)}`, () => {
      const at = this.#bytes.indexOf(mark);
      if (at < 0 && this.isClosed) throw new Error(`closed before ${JSON.stringify(mark)}: ${this.#bytes}`);
      return at < 0 ? undefined : { at };
    });
    return this.#take(end.at + mark.length).toString("latin1");
  }

  async readBytes(count: number): Promise<Buffer> {
    await eventually(`${count} bytes`, () => {
      if (this.#bytes.length < count && this.isClosed) throw new Error(`closed after ${this.#bytes.length} bytes`);
      return this.#bytes.length >= count;
    });
    return this.#take(count);
  }

  /** Reads what comes until the other side is done. */
  async readToEnd(): Promise<Buffer> {
    await eventually("the end of the connection", () => this.isClosed);
    return this.#take(this.#bytes.length);
  }

  /** Hands the socket on, with nothing more read from it. */
  release(): Socket {
    this.socket.removeAllListeners("data");
    return this.socket;
  }

  #take(count: number): Buffer {
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }
}

/** A message as it came. Names of fields are in lower case; `body` is without framing. */
export interface Message {
  readonly start: string;
  readonly status: number;
  readonly fields: readonly (readonly [string, string])[];
  readonly body: string;
  /** What stood behind a chunked body. */
  readonly trailers: string;
  header(name: string): string | undefined;
}

/** Reads one message, request or response, in the plainest possible way. */
export async function readMessage(stream: ByteStream, options: { readonly hasBody?: boolean } = {}): Promise<Message> {
  const head = await stream.readUntil("\r\n\r\n");
  const [start = "", ...lines] = head.slice(0, -4).split("\r\n");
  const fields = lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  const header = (name: string) => fields.find(([one]) => one === name)?.[1];
  const isResponse = start.startsWith("HTTP/");
  const status = isResponse ? Number(start.split(" ")[1]) : 0;
  const isBare = options.hasBody === false || (isResponse && (status < 200 || status === 204 || status === 304));
  const { body, trailers } = isBare ? { body: "", trailers: "" } : await readBody(stream, { header, isResponse });
  return { start, status, fields, body, trailers, header };
}

async function readBody(
  stream: ByteStream,
  { header, isResponse }: { readonly header: Message["header"]; readonly isResponse: boolean },
): Promise<{ readonly body: string; readonly trailers: string }> {
  if (header("transfer-encoding") === "chunked") return readChunks(stream);
  const length = header("content-length");
  if (length !== undefined) {
    return { body: (await stream.readBytes(Number(length))).toString("latin1"), trailers: "" };
  }
  return { body: isResponse ? (await stream.readToEnd()).toString("latin1") : "", trailers: "" };
}

async function readChunks(stream: ByteStream): Promise<{ readonly body: string; readonly trailers: string }> {
  const parts: string[] = [];
  for (;;) {
    const size = Number.parseInt(await stream.readUntil("\r\n"), 16);
    if (size === 0) break;
    parts.push((await stream.readBytes(size + 2)).toString("latin1", 0, size));
  }
  let trailers = "";
  for (let line = await stream.readUntil("\r\n"); line !== "\r\n"; line = await stream.readUntil("\r\n")) {
    trailers += line;
  }
  return { body: parts.join(""), trailers };
}
