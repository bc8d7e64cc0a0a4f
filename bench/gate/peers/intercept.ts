import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { mintServerLeaf } from "@gatehouse/kit";

/** Serves CONNECT on a free port and hands out the decrypted streams: the part that minimal interceptors have in common. */
export function intercept(onStream: (stream: TLSSocket, place: { host: string; port: number }) => void): void {
  const [, , caFile = "", caKeyFile = ""] = process.argv;
  const ca = { certificatePem: readFileSync(caFile, "utf8"), privateKeyPem: readFileSync(caKeyFile, "utf8") };
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = privateKey.export({ type: "pkcs8", format: "pem" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const contexts = new Map<string, Promise<SecureContext>>();
  const contextFor = (host: string) => {
    const known = contexts.get(host);
    if (known !== undefined) return known;
    const leaf = mintServerLeaf({ ca, name: host, publicKey: spki, ttlMs: 86_400_000 });
    const made = leaf.then((cert) => createSecureContext({ key, cert: `${cert.trimEnd()}\n${ca.certificatePem}` }));
    contexts.set(host, made);
    return made;
  };
  const server = createServer((client: Socket) => {
    client.setNoDelay(true);
    client.on("error", () => client.destroy());
    client.once("data", async (head: Buffer) => {
      const [, host = "", port = ""] = /^CONNECT ([^:]+):(\d+) /.exec(head.toString("latin1")) ?? [];
      client.pause();
      const secureContext = await contextFor(host);
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      const stream = new TLSSocket(client, { isServer: true, secureContext });
      stream.on("error", () => stream.destroy());
      onStream(stream, { host, port: Number(port) });
    });
  });
  server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as { port: number }).port }));
  process.on("SIGTERM", () => process.exit());
  process.on("disconnect", () => process.exit());
}
