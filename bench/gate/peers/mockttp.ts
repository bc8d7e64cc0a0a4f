import { createRequire } from "node:module";

interface Mockttp {
  getLocal(options: object): {
    readonly port: number;
    start(): Promise<void>;
    forAnyRequest(): { thenPassThrough(options: object): Promise<unknown> };
  };
}

const [, , caFile = "", caKeyFile = ""] = process.argv;
const mockttp = createRequire(new URL("../outside/", import.meta.url))("mockttp") as Mockttp;
const server = mockttp.getLocal({
  https: { certPath: caFile, keyPath: caKeyFile },
  http2: false,
  recordTraffic: false,
});
await server.start();
await server.forAnyRequest().thenPassThrough({
  additionalTrustedCAs: [{ certPath: caFile }],
  transformRequest: { updateHeaders: { authorization: "Bearer real" } },
});
process.send?.({ port: server.port });
process.on("SIGTERM", () => process.exit());
process.on("disconnect", () => process.exit());
