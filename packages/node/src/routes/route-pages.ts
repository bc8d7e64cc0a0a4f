import type { ServerResponse } from "node:http";
import { type Problem, toProblem } from "@gatehouse/core";
import type { Chosen } from "./choose-target.ts";
import type { RouteTable } from "./route-table.ts";

const PAGE_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "cache-control": "no-store",
};

/** A page of links: every agent, or the services of one. Names are DNS labels, so nothing in them needs escaping. */
export function sendIndex(
  response: ServerResponse,
  { table, chosen, port }: { readonly table: RouteTable; readonly chosen: Chosen; readonly port: number },
): void {
  const agents = chosen.kind === "services" ? [[chosen.agent, chosen.services] as const] : [...table.agents];
  const links = agents.flatMap(([agent, services]) =>
    [...services.keys()].map((name) => {
      const at = `${name}.${agent}.localhost:${port}`;
      return `<li><a href="http://${at}/">${at}</a></li>`;
    }),
  );
  const list = links.length === 0 ? "<p>No agent has registered a service.</p>" : `<ul>${links.join("")}</ul>`;
  response.writeHead(200, PAGE_HEADERS);
  response.end(`<!doctype html><meta charset="utf-8"><title>Services</title><h1>Services</h1>${list}`);
}

/** The problem of a request that was not served, as bytes for an upgrade or as an answer. */
export function describeProblem(failure: unknown): { readonly status: number; readonly body: string } {
  const problem: Problem = toProblem(failure);
  const { code, detail, row } = problem;
  const body = JSON.stringify({ type: "about:blank", title: row.say, status: row.http, code, detail });
  return { status: row.http, body };
}
