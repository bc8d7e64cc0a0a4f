import type { Socket } from "node:net";

/** A message as it stands in a stream, read in the plainest way; what this cannot read, the gate must not have sent. */
export interface PlainMessage {
  readonly start: string;
  /** Lines of the head, spelled as they came. */
  readonly fields: readonly string[];
  /** Without framing. */
  readonly body: string;
  readonly trailers: readonly string[];
}

/** The value of a field, by its lower-case name. */
export function fieldOf(message: PlainMessage, lowerName: string): string | undefined {
  const line = message.fields.find((field) => field.toLowerCase().startsWith(`${lowerName}:`));
  return line?.slice(lowerName.length + 1).trim();
}

/** One side of a connection, cut into messages as they become whole. */
export class PlainStream {
  readonly socket: Socket;
  readonly messages: PlainMessage[] = [];
  #text = "";
  #at = 0;
  #isClosed = false;
  #wake: (() => void) | undefined;

  constructor(socket: Socket, onMessage?: (message: PlainMessage, stream: PlainStream) => void) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#text += chunk.toString("latin1");
      for (
        let next = parseMessage(this.#text, this.#at);
        next !== undefined;
        next = parseMessage(this.#text, this.#at)
      ) {
        this.#at = next.end;
        this.messages.push(next.message);
        onMessage?.(next.message, this);
      }
      this.#wake?.();
    });
    socket.on("error", () => undefined);
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.#isClosed = true;
        this.#wake?.();
      });
    }
  }

  /** Everything that came. */
  get text(): string {
    return this.#text;
  }

  /** What came behind the last whole message. */
  get unread(): string {
    return this.#text.slice(this.#at);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Waits until the condition holds, looking again whenever something came. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/**
 * The messages of a connection that is over, up to one that asks for another protocol: what follows that is framed by
 * its answer, so that no reader can tell it from the bytes alone.
 */
export function readPlainly(bytes: Buffer): { readonly messages: readonly PlainMessage[]; readonly bytes: Buffer } {
  const text = bytes.toString("latin1");
  const messages: PlainMessage[] = [];
  let end = 0;
  for (let next = parseMessage(text, 0); next !== undefined; next = parseMessage(text, end)) {
    messages.push(next.message);
    end = next.end;
    if (fieldOf(next.message, "upgrade") !== undefined) break;
  }
  return { messages, bytes: bytes.subarray(0, end) };
}

const HEAD_END = "\r\n\r\n";

/** The next message that is whole. Without a stated end it has no body. */
function parseMessage(
  text: string,
  from: number,
): { readonly message: PlainMessage; readonly end: number } | undefined {
  const headEnd = text.indexOf(HEAD_END, from);
  if (headEnd < 0) return undefined;
  const [start = "", ...fields] = text.slice(from, headEnd).split("\r\n");
  const head = { start, fields, body: "", trailers: [] };
  const bodyStart = headEnd + HEAD_END.length;
  const coding = fieldOf(head, "transfer-encoding");
  if (coding !== undefined) return parseChunks(text, bodyStart, head);
  const end = bodyStart + Number(fieldOf(head, "content-length") ?? 0);
  return text.length < end ? undefined : { message: { ...head, body: text.slice(bodyStart, end) }, end };
}

function parseChunks(text: string, from: number, head: PlainMessage): ReturnType<typeof parseMessage> {
  let body = "";
  for (let at = from; ; ) {
    const [line = "", digits = ""] = /^([0-9a-f]+)\r\n/.exec(text.slice(at, at + 20)) ?? [];
    if (line === "") return undefined;
    const size = Number.parseInt(digits, 16);
    if (size === 0) return parseTrailers(text, at + line.length, { ...head, body });
    const end = at + line.length + size;
    if (text.length < end + 2) return undefined;
    body += text.slice(at + line.length, end);
    at = end + 2;
  }
}

function parseTrailers(text: string, from: number, head: PlainMessage): ReturnType<typeof parseMessage> {
  if (text.startsWith("\r\n", from)) return { message: head, end: from + 2 };
  const end = text.indexOf(HEAD_END, from);
  if (end < 0) return undefined;
  return { message: { ...head, trailers: text.slice(from, end).split("\r\n") }, end: end + HEAD_END.length };
}
