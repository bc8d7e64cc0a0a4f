import type { IncomingMessage, ServerResponse } from "node:http";
import { makeUuid, systemClock, systemRandom } from "@gatehouse/core";
import type { LocalAdmin } from "./local-admin.ts";
import { PAGE_HEADERS, type PageFacts, renderNodePage, renderStopped } from "./node-page.ts";
import type { StopAll } from "./stop-all.ts";

export interface LocalPageDeps {
  readonly admin: LocalAdmin;
  readonly facts: () => Promise<PageFacts>;
  readonly stopAll: Pick<StopAll, "run">;
}

const MAX_BODY_BYTES = 4_096;
const CHALLENGE = {
  "www-authenticate": 'Basic realm="Gatehouse on this host", charset="UTF-8"',
  "cache-control": "no-store",
};
const IDEMPOTENCY_KEY = /^[A-Za-z0-9-]{1,128}$/;

/**
 * The host's own page, for whoever has its local-admin credential: `/` shows the node as it is, whether its server is
 * there or not, and `/stop-all` ends every run. `undefined` for paths that are not its own.
 */
export function localPage(deps: LocalPageDeps) {
  return (request: IncomingMessage, response: ServerResponse): Promise<void> | undefined => {
    const { url } = request;
    if (url !== "/" && url !== "/stop-all") return undefined;
    return serve(url, { request, response }, deps);
  };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

async function serve(
  url: "/" | "/stop-all",
  exchange: Exchange,
  { admin, facts, stopAll }: LocalPageDeps,
): Promise<void> {
  const { request, response } = exchange;
  const method = url === "/" ? "GET" : "POST";
  if (request.method !== method) return void response.writeHead(405, { allow: method }).end();
  if (!admin.accepts(passwordOf(request.headers.authorization))) return void response.writeHead(401, CHALLENGE).end();
  if (url === "/") {
    const key = makeUuid(systemClock.now(), systemRandom);
    return void response.writeHead(200, PAGE_HEADERS).end(renderNodePage(await facts(), key));
  }
  // A browser sends the credential along whoever's page asks.
  if (!isOwnPage(request.headers)) return void response.writeHead(403).end();
  const form = await readForm(request);
  const idempotencyKey = form?.get("idempotency_key") ?? "";
  if (!IDEMPOTENCY_KEY.test(idempotencyKey)) return void response.writeHead(400).end();
  const outcome = await stopAll.run({ origin: "page", idempotencyKey });
  response.writeHead(200, PAGE_HEADERS).end(renderStopped(outcome));
}

/** Of HTTP's Basic scheme, whatever the name; empty where there is none. */
function passwordOf(header: string | undefined): string {
  const [, encoded = ""] = /^Basic ([A-Za-z0-9+/=]{1,512})$/.exec(header ?? "") ?? [];
  const text = Buffer.from(encoded, "base64").toString();
  return text.slice(text.indexOf(":") + 1);
}

/** What is no browser states no origin. */
function isOwnPage({ host, origin, "sec-fetch-site": site }: IncomingMessage["headers"]): boolean {
  const isOwn = origin === undefined || origin === `http://${host}`;
  return isOwn && (site === undefined || site === "same-origin");
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk as Buffer);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString());
}
