import type { TLSSocket } from "node:tls";
import { exchangeOnce, itemsRequest } from "./exchange.ts";
import { openTunnel } from "./open-tunnel.ts";
import type { Way } from "./order.ts";

/** A new tunnel for each request, one after the other: how long each took. */
export async function newTunnels(way: Way, count: number): Promise<number[]> {
  const latenciesMs: number[] = [];
  for (let done = 0; done < count; done += 1) {
    const began = performance.now();
    const socket = await openTunnel(way);
    await exchangeOnce(socket, itemsRequest(way));
    latenciesMs.push(performance.now() - began);
    socket.destroy();
  }
  return latenciesMs;
}

/** One tunnel and one request to each of many hosts. */
export async function contactHosts(
  way: Way,
  { count, concurrency }: { readonly count: number; readonly concurrency: number },
): Promise<number[]> {
  const latenciesMs: number[] = [];
  await inParallel(count, concurrency, async (index) => {
    const subdomain = `h${index}.`;
    const began = performance.now();
    const socket = await openTunnel(way, subdomain);
    await exchangeOnce(socket, itemsRequest(way, subdomain));
    latenciesMs.push(performance.now() - began);
    socket.destroy();
  });
  return latenciesMs;
}

/** Tunnels that served one request and stay open. */
export async function holdTunnels(
  way: Way,
  { count, concurrency }: { readonly count: number; readonly concurrency: number },
): Promise<TLSSocket[]> {
  const held: TLSSocket[] = [];
  await inParallel(count, concurrency, async () => {
    const socket = await openTunnel(way);
    await exchangeOnce(socket, itemsRequest(way));
    held.push(socket);
  });
  return held;
}

async function inParallel(count: number, concurrency: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) {
      next += 1;
      await work(next - 1);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}
