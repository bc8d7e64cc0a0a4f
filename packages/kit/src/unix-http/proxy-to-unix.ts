import { type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { Problem } from "@gatehouse/core";
import { sendProblem } from "./send-answer.ts";

/** Headers that speak of one connection (RFC 9110 §7.6.1). */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * Passes one exchange through to another Unix socket, both bodies as streams with back-pressure. Nobody there:
 * `daemon.unreachable` is answered. Resolves when the exchange is over; when one side breaks off, so does the other.
 */
export async function proxyToUnix(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  socketPath: string,
): Promise<void> {
  const abort = new AbortController();
  const onClose = () => abort.abort();
  outgoing.once("close", onClose);
  try {
    // From the answer on the pipeline sees to it: together they would be more listeners than Node.js takes for few.
    const answer = await forward(incoming, socketPath, abort.signal).finally(() => outgoing.off("close", onClose));
    outgoing.writeHead(answer.statusCode ?? 502, endToEnd(answer.headers));
    // A stream that is followed may be silent for long: its head must not wait for its first line.
    outgoing.flushHeaders();
    await pipeline(answer, outgoing);
  } catch (failure) {
    if (outgoing.destroyed) return;
    if (!incoming.complete && !outgoing.headersSent) outgoing.setHeader("connection", "close");
    sendProblem(outgoing, new Problem("daemon.unreachable", { cause: failure }));
  }
}

function forward(incoming: IncomingMessage, socketPath: string, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = request({
      socketPath,
      path: incoming.url ?? "/",
      method: incoming.method ?? "GET",
      // We hang up, not the other side: one that closed behind its answer would break the end of the body on its way
      // (an empty write to a closed Unix socket is EPIPE), and the answer would be lost with it.
      headers: { ...endToEnd(incoming.headers), connection: "keep-alive" },
      agent: false,
      signal,
    });
    sent.once("response", resolve);
    sent.once("error", reject);
    pipeline(incoming, sent).catch(reject);
  });
}

function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = (headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase());
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name) && !named.includes(name)));
}
