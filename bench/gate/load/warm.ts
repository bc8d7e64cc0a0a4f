import type { TLSSocket } from "node:tls";
import { AnswerReader, itemsRequest } from "./exchange.ts";
import { openTunnel } from "./open-tunnel.ts";
import type { Way } from "./order.ts";

interface Budget {
  readonly request: Buffer;
  readonly deadlineMs: number;
  /** Requests that may still be sent. */
  left: number;
  readonly latenciesMs: number[];
}

/** Requests on warm connections, one under way on each. */
export async function warm(
  way: Way,
  order: { readonly connections: number; readonly requests: number; readonly maxSeconds: number },
): Promise<{ readonly latenciesMs: number[]; readonly seconds: number; readonly failures: number }> {
  // One after the other: not every peer stands many first tunnels at once.
  const sockets: TLSSocket[] = [];
  while (sockets.length < order.connections) sockets.push(await openTunnel(way));
  const began = performance.now();
  const budget: Budget = {
    request: itemsRequest(way),
    deadlineMs: began + order.maxSeconds * 1000,
    left: order.requests,
    latenciesMs: [],
  };
  const ends = await Promise.all(sockets.map((socket) => exchangeUntil(socket, budget)));
  const seconds = (performance.now() - began) / 1000;
  for (const socket of sockets) socket.destroy();
  return { latenciesMs: budget.latenciesMs, seconds, failures: ends.filter((isWhole) => !isWhole).length };
}

/** False when an answer was not what it should be. */
function exchangeUntil(socket: TLSSocket, budget: Budget): Promise<boolean> {
  return new Promise((resolve) => {
    const reader = new AnswerReader();
    let sentMs = 0;
    let isOver = false;
    const send = () => {
      isOver = budget.left <= 0 || performance.now() >= budget.deadlineMs;
      if (isOver) return resolve(true);
      budget.left -= 1;
      sentMs = performance.now();
      socket.write(budget.request);
    };
    socket.on("data", (chunk: Buffer) => {
      const state = reader.push(chunk);
      if (state === "more") return;
      if (state === "wrong") return resolve(false);
      budget.latenciesMs.push(performance.now() - sentMs);
      send();
    });
    socket.on("close", () => resolve(isOver));
    send();
  });
}
