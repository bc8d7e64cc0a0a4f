import { createSocket } from "node:dgram";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";

/** Listeners of the demo's own that a sandbox must not reach, and what reached them. */
export interface RouteTargets extends AsyncDisposable {
  readonly tcpPort: number;
  readonly udpPort: number;
  readonly unixPath: string;
  readonly abstractName: string;
  /** Messages that arrived, `who:kind`. */
  readonly arrived: ReadonlySet<string>;
}

/** Opens one listener of each kind: TCP, UDP (a resolver's protocol), a Unix socket and an abstract one. */
export async function openRouteTargets(directory: string): Promise<RouteTargets> {
  const arrived = new Set<string>();
  const unixPath = join(directory, "target.sock");
  const abstractName = `gatehouse-demo-${process.pid}`;
  const streams = [0, unixPath, `\0${abstractName}`].map((place) => {
    const server = createServer((socket) => {
      socket.on("data", (data: Buffer) => arrived.add(data.toString().trim()));
      socket.on("error", () => socket.destroy());
    });
    return { server, place };
  });
  for (const { server, place } of streams) {
    await new Promise<void>((resolve) => {
      if (typeof place === "number") server.listen(place, "127.0.0.1", resolve);
      else server.listen(place, resolve);
    });
  }
  const udp = createSocket("udp4", (data) => arrived.add(data.toString().trim()));
  await new Promise<void>((resolve) => udp.bind(0, "127.0.0.1", resolve));
  return {
    tcpPort: portOf(streams[0]?.server.address()),
    udpPort: udp.address().port,
    unixPath,
    abstractName,
    arrived,
    [Symbol.asyncDispose]: async () => {
      udp.close();
      for (const { server } of streams) server.close();
    },
  };
}

function portOf(address: AddressInfo | string | null | undefined): number {
  return typeof address === "object" && address !== null ? address.port : 0;
}
