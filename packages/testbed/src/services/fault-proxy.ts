import { connect, createServer, type NetConnectOpts, type Socket } from "node:net";
import { seededRandom } from "../system/seeded-random.ts";
import { FaultLane, type LaneFaults, NO_FAULTS } from "./fault-lane.ts";
import { listenOnLoopback } from "./loopback-server.ts";

/** `up`: from who connected to the target. */
export type Direction = "up" | "down" | "both";

export interface FaultProxyOptions {
  /** Jitter and corruption of two proxies with one seed are the same. Default 1. */
  readonly seed?: number;
}

/**
 * A TCP proxy on loopback that does what networks do. Faults can be switched at any moment and hold for connections that
 * are open and those that come.
 */
export interface FaultProxy extends AsyncDisposable {
  readonly port: number;
  /** That came so far. */
  readonly accepted: number;
  /** That are open now, those of vanished peers among them. */
  readonly open: number;
  /** Changes these faults and leaves the others as they are. */
  impair(direction: Direction, faults: Partial<LaneFaults>): void;
  /**
   * A partition: nothing gets through until it is healed, and nobody is told. Of `open`: those that come later pass;
   * else they hang, as when first packets are lost.
   */
  cut(direction: Direction, of?: "all" | "open"): void;
  /** Something waits for the end of a cut. */
  readonly holdsBack: boolean;
  /** Ends all faults: what was held back arrives. Connections whose peers vanished stay as they are. */
  heal(): void;
  /** Tells both ends of every open connection, or of those that are cut, that it was reset: what was held back is lost. */
  reset(of?: "all" | "cut"): void;
  /** Ends one direction of every open connection; the other goes on. */
  halfClose(direction: Exclude<Direction, "both">): void;
  /**
   * For both ends of every open connection the other end is gone without a word: nothing arrives any more, and when one
   * of them gives up the other does not hear of it. New connections work.
   */
  vanish(): void;
}

interface Connection {
  readonly sockets: readonly [near: Socket, far: Socket];
  readonly lanes: Readonly<Record<"up" | "down", FaultLane>>;
}

/** Passes connections on to where `target` says when they come, at first without any fault. */
export async function openFaultProxy(
  target: () => NetConnectOpts,
  { seed = 1 }: FaultProxyOptions = {},
): Promise<FaultProxy> {
  const random = seededRandom(seed);
  const faults = { up: NO_FAULTS, down: NO_FAULTS };
  const connections = new Set<Connection>();
  const waiting = new Set<Socket>();
  const join = (near: Socket) => {
    const far = connect({ ...target(), allowHalfOpen: true, noDelay: true } as NetConnectOpts);
    const up = new FaultLane({ from: near, to: far }, faults.up, random);
    const down = new FaultLane({ from: far, to: near }, faults.down, random);
    const connection: Connection = { sockets: [near, far], lanes: { up, down } };
    connections.add(connection);
    const forget = () => {
      if (near.closed && far.closed) connections.delete(connection);
    };
    for (const socket of connection.sockets) socket.once("close", forget);
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    if (!faults.up.isCut && !faults.down.isCut) return join(near);
    // Neither first packet nor its answer gets through: the target hears of it when it is healed.
    near.on("error", () => undefined).once("close", () => waiting.delete(near));
    waiting.add(near);
  });
  const impair = (direction: Direction, changed: Partial<LaneFaults>) => {
    for (const name of namesOf(direction)) {
      faults[name] = { ...faults[name], ...changed };
      for (const { lanes } of connections) lanes[name].faults = faults[name];
    }
    if (faults.up.isCut || faults.down.isCut) return;
    for (const near of waiting) join(near);
    waiting.clear();
  };
  const listening = await listenOnLoopback(server);
  return {
    port: listening.port,
    get accepted() {
      return listening.connections;
    },
    get open() {
      return connections.size;
    },
    impair,
    get holdsBack() {
      return waiting.size > 0 || [...connections].some(({ lanes }) => lanes.up.holdsBack || lanes.down.holdsBack);
    },
    cut: (direction, of = "all") => {
      if (of === "all") return impair(direction, { isCut: true });
      for (const { lanes } of connections) {
        for (const name of namesOf(direction)) lanes[name].faults = { ...faults[name], isCut: true };
      }
    },
    heal: () => impair("both", NO_FAULTS),
    reset: (of = "all") => {
      for (const { lanes } of connections) {
        if (of === "all" || lanes.up.isCut || lanes.down.isCut) for (const lane of Object.values(lanes)) lane.reset();
      }
    },
    halfClose: (direction) => {
      for (const { lanes } of connections) lanes[direction].endNow();
    },
    vanish: () => {
      for (const { lanes } of connections) for (const lane of Object.values(lanes)) lane.stop();
    },
    [Symbol.asyncDispose]: async () => {
      for (const near of waiting) near.destroy();
      for (const { sockets, lanes } of connections) {
        for (const lane of Object.values(lanes)) lane.stop();
        for (const socket of sockets) socket.destroy();
      }
      await listening[Symbol.asyncDispose]();
    },
  };
}

function namesOf(direction: Direction): readonly ("up" | "down")[] {
  return direction === "both" ? ["up", "down"] : [direction];
}
