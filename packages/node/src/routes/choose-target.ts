import type { IncomingHttpHeaders } from "node:http";
import { Problem } from "@gatehouse/core";
import type { RouteTable, Services, Target } from "./route-table.ts";

/** Where a request for one of the routes' names goes. */
export type Chosen =
  | { readonly kind: "index" }
  | { readonly kind: "services"; readonly agent: string; readonly services: Services }
  | { readonly kind: "target"; readonly target: Target };

export interface Asked {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** Of the routes' own listener. */
  readonly port: number;
  readonly isUpgrade: boolean;
}

/**
 * What a request may reach. Only the routes' own names are served, so a foreign name that resolves to this host gets
 * nowhere, and a web page of another site gets no further than a link that a person follows: it can neither send
 * requests to the services nor open WebSockets to them, and one agent's pages cannot to another's. Fails with
 * `routes.not_found` or `routes.cross_site`.
 */
export function chooseTarget(table: RouteTable, asked: Asked): Chosen {
  const labels = readHost(asked.headers.host, asked.port);
  const agent = labels?.at(-1);
  refuseCrossSite(asked, agent);
  if (labels === undefined) throw new Problem("routes.not_found", { detail: "It is none of the routes' names." });
  if (agent === undefined) return { kind: "index" };
  const services = table.find(agent);
  if (services === undefined) throw new Problem("routes.not_found", { detail: `There is no agent ${agent}.` });
  const [service] = labels.length === 2 ? labels : services.size === 1 ? services.keys() : [];
  if (service === undefined) return { kind: "services", agent, services };
  const target = services.get(service);
  if (target === undefined) throw new Problem("routes.not_found", { detail: `${agent} has no service ${service}.` });
  return { kind: "target", target };
}

/** `[service.]agent.localhost`, as its labels without the last; none for the listener itself. */
function readHost(host: string | undefined, port: number): readonly string[] | undefined {
  const [, name = "", stated] = /^([a-z0-9.-]{1,253})(?::(\d{1,5}))?$/i.exec(host ?? "") ?? [];
  if (Number(stated ?? 80) !== port) return undefined;
  if (name === "127.0.0.1") return [];
  const labels = name.toLowerCase().split(".");
  return labels.pop() === "localhost" && labels.length <= 2 ? labels : undefined;
}

/** Browsers say from where a request comes (Fetch Metadata, else Origin); other programs say nothing. */
function refuseCrossSite({ method, headers, port, isUpgrade }: Asked, agent: string | undefined): void {
  const site = headers["sec-fetch-site"];
  const isLink =
    !isUpgrade &&
    (method === "GET" || method === "HEAD") &&
    headers["sec-fetch-mode"] === "navigate" &&
    headers["sec-fetch-dest"] === "document";
  const isForeignSite = site !== undefined && site !== "same-origin" && site !== "same-site" && site !== "none";
  const { origin } = headers;
  const from = origin === undefined ? undefined : readOrigin(origin, port);
  const isForeignOrigin = origin !== undefined && (from === undefined || from.at(-1) !== agent);
  if ((isForeignSite && !isLink) || isForeignOrigin) throw new Problem("routes.cross_site");
}

function readOrigin(origin: string, port: number): readonly string[] | undefined {
  return origin.startsWith("http://") ? readHost(origin.slice("http://".length), port) : undefined;
}
