// The least that a proxy can do: answer CONNECT, then pass bytes without reading them.
import { connect, createServer, type Socket } from "node:net";

const server = createServer((client) => {
  client.setNoDelay(true);
  client.on("error", () => client.destroy());
  client.once("data", (head: Buffer) => relay(client, head.toString("latin1")));
});

function relay(client: Socket, head: string): void {
  const port = Number(/^CONNECT [^:]+:(\d+) /.exec(head)?.[1]);
  const upstream = connect(port, "127.0.0.1", () => {
    upstream.setNoDelay(true);
    client.write("HTTP/1.1 200 Connection established\r\n\r\n");
    client.pipe(upstream).pipe(client);
  });
  upstream.on("error", () => client.destroy());
  client.on("close", () => upstream.destroy());
}

server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () =>
  process.send?.({ port: (server.address() as { port: number }).port }),
);
process.on("SIGTERM", () => process.exit());
process.on("disconnect", () => process.exit());
