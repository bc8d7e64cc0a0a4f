import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent } from "node:https";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Context {
  readonly proxyToServerRequestOptions: { headers: Record<string, string> };
}
interface HttpMitmProxy {
  readonly Proxy: new () => {
    readonly httpPort: number;
    readonly sslCaDir: string;
    onError(handle: () => void): void;
    onRequest(handle: (context: Context, next: () => void) => void): void;
    listen(options: object, done: () => void): void;
  };
}

// It signs with an authority of its own making, below its directory.
const dir = mkdtempSync(join(tmpdir(), "gatehouse-bench-http-mitm-proxy-"));
const outside = createRequire(new URL("../outside/", import.meta.url))("http-mitm-proxy") as HttpMitmProxy;
const proxy = new outside.Proxy();
proxy.onError(() => undefined);
proxy.onRequest((context, next) => {
  context.proxyToServerRequestOptions.headers.authorization = "Bearer real";
  next();
});
const httpsAgent = new Agent({ keepAlive: true, ca: readFileSync(process.argv[2] ?? "") });
proxy.listen({ port: 0, host: "127.0.0.1", sslCaDir: dir, keepAlive: true, httpsAgent }, () =>
  process.send?.({ port: proxy.httpPort, caFile: join(dir, "certs/ca.pem") }),
);
for (const name of ["SIGTERM", "disconnect"] as const) {
  process.on(name, () => {
    rmSync(dir, { recursive: true, force: true });
    process.exit();
  });
}
