// The generator: does one order after the other over TLS connections, through an authenticated CONNECT or directly.
import type { TLSSocket } from "node:tls";
import { quantile } from "../../median.ts";
import { exchangeOnce, itemsRequest } from "./exchange.ts";
import { openTunnel } from "./open-tunnel.ts";
import type { LoadOrder, LoadResult } from "./order.ts";
import { download, echoes, firstEvents, upload } from "./streams.ts";
import { contactHosts, holdTunnels, newTunnels } from "./tunnels.ts";
import { warm } from "./warm.ts";

let held: readonly TLSSocket[] = [];

process.on("message", (order: LoadOrder) => {
  carryOut(order).then(
    (result) => process.send?.(result),
    (failure: unknown) => process.send?.({ failure: String(failure) }),
  );
});
process.send?.({ ready: true });
process.on("SIGTERM", () => process.exit());
process.on("disconnect", () => process.exit());

async function carryOut(order: LoadOrder): Promise<LoadResult> {
  const { way } = order;
  const began = performance.now();
  const parts = (latenciesMs: number[]) => summary(latenciesMs, (performance.now() - began) / 1000);
  switch (order.kind) {
    case "warm": {
      const { latenciesMs, seconds, failures } = await warm(way, order);
      return { ...summary(latenciesMs, seconds), failures };
    }
    case "tunnels":
      return parts(await newTunnels(way, order.count));
    case "hosts":
      return parts(await contactHosts(way, order));
    case "hold":
      held = await holdTunnels(way, order);
      return parts([]);
    case "release":
      for (const socket of held) socket.destroy();
      held = [];
      return parts([]);
    case "download":
      return summary([], await download(way, order.bytes));
    case "upload":
      return summary([], await upload(way, order.bytes));
    case "events":
      return parts(await firstEvents(way, order.count));
    case "echo":
      return parts(await echoes(way, order.count));
    case "cut":
      return parts(await untilCut(way));
  }
}

async function untilCut(way: LoadOrder["way"]): Promise<number[]> {
  const socket = await openTunnel(way);
  await exchangeOnce(socket, itemsRequest(way));
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => undefined);
  process.send?.({ ready: true });
  await closed;
  return [];
}

function summary(latenciesMs: number[], seconds: number): LoadResult {
  return {
    requests: latenciesMs.length,
    seconds,
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
    failures: 0,
  };
}
