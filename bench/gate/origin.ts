// The service that is asked: TLS, HTTP/1.1, as little work per request as Node can do.
import { readFileSync } from "node:fs";
import { createServer } from "node:tls";

const [, , certFile = "", keyFile = "", bodyBytes = "1024"] = process.argv;
const body = Buffer.alloc(Number(bodyBytes), "x");
const answer = Buffer.concat([
  Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`),
  body,
]);
const END = "\r\n\r\n";

const server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (socket) => {
  let pending = "";
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    pending += chunk.toString("latin1");
    for (let end = pending.indexOf(END); end >= 0; end = pending.indexOf(END)) {
      pending = pending.slice(end + END.length);
      socket.write(answer);
    }
  });
});
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as { port: number }).port }));
process.on("SIGTERM", () => process.exit());
