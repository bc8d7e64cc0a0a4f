import type { TLSSocket } from "node:tls";
import type { Way } from "./order.ts";

/** The request that warm connections repeat. */
export function itemsRequest({ host, originPort }: Way, subdomain = ""): Buffer {
  const place = `${subdomain}${host}:${originPort}`;
  return Buffer.from(
    `GET /v1/items?page=1 HTTP/1.1\r\nHost: ${place}\r\nUser-Agent: bench/1\r\nAccept: application/json\r\nAuthorization: Bearer placeholder\r\n\r\n`,
  );
}

/** Asks once; resolves when the answer is whole. Fails when it is not what it should be. */
export function exchangeOnce(socket: TLSSocket, request: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const reader = new AnswerReader();
    const onData = (chunk: Buffer) => {
      const state = reader.push(chunk);
      if (state === "more") return;
      socket.off("data", onData);
      if (state === "whole") resolve();
      else reject(new Error("an answer was not what it should be"));
    };
    socket.on("data", onData);
    socket.once("close", () => reject(new Error("the connection was closed")));
    socket.write(request);
  });
}

/** Finds the end of answers with a stated length or in chunks, reading heads alone. */
export class AnswerReader {
  #head = "";
  #missing = -1;
  #isChunked = false;

  push(chunk: Buffer): "more" | "whole" | "wrong" {
    if (this.#missing < 0 && !this.#isChunked) return this.#readHead(chunk);
    return this.#isChunked ? this.#afterChunks(chunk) : this.#take(chunk.length);
  }

  #readHead(chunk: Buffer): "more" | "whole" | "wrong" {
    this.#head += chunk.toString("latin1");
    const end = this.#head.indexOf("\r\n\r\n") + 4;
    if (end < 4) return "more";
    if (!this.#head.startsWith("HTTP/1.1 200")) return "wrong";
    const body = this.#head.length - end;
    const [, stated] = /content-length: (\d+)/i.exec(this.#head.slice(0, end)) ?? [];
    this.#isChunked = stated === undefined;
    this.#missing = stated === undefined ? -1 : Number(stated);
    this.#head = "";
    return this.#isChunked ? this.#afterChunks(chunk) : this.#take(body);
  }

  #afterChunks(chunk: Buffer): "more" | "whole" {
    if (!chunk.subarray(-7).toString("latin1").endsWith("0\r\n\r\n")) return "more";
    this.#isChunked = false;
    return "whole";
  }

  #take(bytes: number): "more" | "whole" | "wrong" {
    this.#missing -= bytes;
    if (this.#missing > 0) return "more";
    const isWhole = this.#missing === 0;
    this.#missing = -1;
    return isWhole ? "whole" : "wrong";
  }
}
