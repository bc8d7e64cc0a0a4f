import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Problem } from "@gatehouse/core";
import type { Health } from "../health/health.ts";

/** What is served and where. */
export interface MetricsOptions {
  readonly port: number;
  /** The port was asked for: a busy one is an error. Else another free one is taken. */
  readonly isExplicit: boolean;
  readonly health: Health;
  /** The text of `/metrics`, gathered anew for each request. */
  readonly render: () => Promise<string>;
  /** Told of what failed while a request was answered. */
  readonly onFault: (failure: unknown) => void;
  /** Answers what else is served there; `undefined`: it is none of its own. */
  readonly serveMore?: (request: IncomingMessage, response: ServerResponse) => Promise<void> | undefined;
}

export interface MetricsServer extends AsyncDisposable {
  readonly port: number;
}

const LOOPBACK = "127.0.0.1";
const TEXT = "text/plain; version=0.0.4; charset=utf-8";
/** Scrapers keep one connection; what is more is no scraper. */
const MAX_CONNECTIONS = 64;
/** A connection that says nothing, or says it slowly, gives its place back after so long, and the second until a look. */
const BOUNDS = { headersTimeout: 5_000, requestTimeout: 10_000, connectionsCheckingInterval: 1_000 } as const;

/**
 * Serves `/metrics`, `/livez`, `/readyz` and `/healthz` on loopback. A Host that names another place is refused, so that
 * no web page reaches it under a name of its own. Fails with `config.port_busy` when an explicit port is taken.
 */
export async function serveMetrics(options: MetricsOptions): Promise<MetricsServer> {
  const server = createServer(BOUNDS, (request, response) => {
    answer(request, response, options).catch((failure: unknown) => {
      options.onFault(failure);
      if (response.headersSent) response.destroy();
      else response.writeHead(500).end();
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  const listen = (port: number) =>
    new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port, host: LOOPBACK }, () => {
        server.off("error", reject);
        resolve();
      });
    });
  try {
    await listen(options.port);
  } catch (cause) {
    const isBusy = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
    if (!isBusy) throw cause;
    if (options.isExplicit) throw new Problem("config.port_busy", { detail: busyText(options.port), cause });
    await listen(0);
  }
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : options.port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function busyText(port: number): string {
  return `${LOOPBACK}:${port} (metrics.port) is taken; choose another, or 0.`;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { health, render, serveMore }: MetricsOptions,
): Promise<void> {
  const { method, url = "", headers } = request;
  if (!isLoopbackName(headers.host)) return void response.writeHead(421).end();
  const more = serveMore?.(request, response);
  if (more !== undefined) return more;
  if (method !== "GET") return void response.writeHead(405, { allow: "GET" }).end();
  if (url === "/metrics") {
    const text = await render();
    return void response.writeHead(200, { "content-type": TEXT }).end(text);
  }
  if (url === "/livez") return void response.writeHead(200, { "content-type": TEXT }).end("ok\n");
  if (url !== "/readyz" && url !== "/healthz") return void response.writeHead(404).end();
  const report = await health.report();
  const status = report.status === "ok" ? 200 : 503;
  response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(report)}\n`);
}

function isLoopbackName(host: string | undefined): boolean {
  return host !== undefined && /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/i.test(host);
}
