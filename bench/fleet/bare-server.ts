// The least that a server on `node:http2` can do: idle streams over TLS. Prints its port; what its arguments name is
// the leaf (certificate and key, PEM files).
import { readFileSync } from "node:fs";
import { createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";

const [certificate = "", key = ""] = process.argv.slice(2);
const server = createSecureServer({ cert: readFileSync(certificate), key: readFileSync(key), minVersion: "TLSv1.3" });
server.on("session", (session) => void session.on("error", () => undefined));
server.on("stream", (stream) => {
  stream.on("error", () => undefined);
  stream.resume();
  stream.respond({ ":status": 200 });
  stream.write("hello");
});
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on("disconnect", () => process.exit());
