import { connect, createServer, type Socket } from "node:net";
import { listenOnLoopback } from "./loopback-server.ts";

/** Passes connections on as they are, as a layer-4 balancer in front of replicas does. */
export interface Balancer extends AsyncDisposable {
  readonly port: number;
  /** Where connections that come from now on go: a port of loopback. Those that are open stay where they are. */
  pointTo(port: number): void;
  /** How many connections went there. */
  connectionsTo(port: number): number;
  /** From now on nothing that clients say on open connections arrives there; what it says still arrives. */
  muteTowards(port: number): void;
}

export async function openBalancer(): Promise<Balancer> {
  let target = 0;
  const passed = new Map<number, number>();
  const open = new Map<Socket, number>();
  // Whoever holds small messages back until the last one is acknowledged slows every exchange by a delayed
  // acknowledgement.
  const server = createServer({ noDelay: true }, (near) => {
    passed.set(target, (passed.get(target) ?? 0) + 1);
    const far = connect({ host: "127.0.0.1", port: target, noDelay: true });
    open.set(near, target);
    near.once("close", () => open.delete(near));
    join(near, far);
    join(far, near);
  });
  const listening = await listenOnLoopback(server);
  return {
    port: listening.port,
    pointTo: (port) => {
      target = port;
    },
    connectionsTo: (port) => passed.get(port) ?? 0,
    muteTowards: (port) => {
      for (const [near, to] of open) if (to === port) near.unpipe().resume();
    },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

function join(from: Socket, to: Socket): void {
  from.pipe(to);
  from.on("error", () => to.destroy());
  from.once("close", () => to.destroy());
}
