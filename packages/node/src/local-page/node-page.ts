import { createHash } from "node:crypto";
import { type Html, html } from "@gatehouse/kit";
import type { HostDescription } from "../uplink/describe-host.ts";
import type { UplinkStatus } from "../uplink/uplink.ts";
import type { StopAllOutcome } from "./stop-all.ts";

/** What the page shows. */
export interface PageFacts {
  readonly host: HostDescription;
  readonly health: string;
  /** `undefined`: this daemon joins no server. */
  readonly uplink: UplinkStatus | undefined;
  readonly runs: readonly PageRun[];
}

export interface PageRun {
  readonly runId: string;
  readonly state: string;
  readonly agent: string;
  readonly startedAt: number;
}

const STYLE = `
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{margin:2rem auto;max-width:60rem;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:1rem 0}
th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid color-mix(in srgb,currentColor 20%,transparent);overflow-wrap:anywhere}
button{font:inherit;padding:.5rem 1rem;background:#b3261e;color:#fff;border:0;border-radius:.25rem}
`;
const STYLE_HASH = createHash("sha256").update(STYLE).digest("base64");

/** Nothing is loaded, framed, cached, or sent elsewhere. */
export const PAGE_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  // `no-referrer` would make browsers state the origin `null` on our own form.
  "referrer-policy": "same-origin",
} as const;

/** The page of one host, as it is now. `idempotencyKey` is what the button sends. */
export function renderNodePage(facts: PageFacts, idempotencyKey: string): string {
  const title = facts.host.name ?? "This host";
  return page(
    title,
    html`<table>${rowsOf(facts).map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`)}</table>
<h2>Runs</h2>
${renderRuns(facts.runs)}
<form method="post" action="/stop-all"><input type="hidden" name="idempotency_key" value="${idempotencyKey}">
<button>Stop all runs</button></form>`,
  );
}

/** What became of stopping everything. */
export function renderStopped({ stopped, failed, unwritten }: StopAllOutcome): string {
  const left = failed.length === 0 ? "" : ` Not stopped: ${failed.join(", ")}.`;
  const unkept = unwritten.length === 0 ? "" : ` Make room on the disk, then stop again: it could not be written down.`;
  return page(
    "Stopped",
    html`<p>${`${stopped.length} runs were stopped.${left}${unkept}`}</p><p><a href="/">Back</a></p>`,
  );
}

function page(title: string, body: Html): string {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title} · Gatehouse</title><style>${{ html: STYLE }}</style></head>
<body><main><h1>${title}</h1>
${body}
</main></body></html>
`.html;
}

type Row = readonly [name: string, value: string];

function rowsOf({ host, health, uplink }: PageFacts): readonly Row[] {
  const known = Object.entries(host).map(([name, value]): Row => [name.replaceAll("_", " "), String(value ?? "-")]);
  return [["health", health], ...known, ...(uplink === undefined ? [] : uplinkRows(uplink))];
}

function uplinkRows(uplink: UplinkStatus): readonly Row[] {
  const { connected, session_expires_at, fresh_for_seconds, bundle_fault, credentials_refused } = uplink;
  const fresh =
    fresh_for_seconds > 0 ? `for ${fresh_for_seconds} s more` : "no: they are not used until the server is heard";
  return [
    ["server", connected ? "connected" : "away"],
    ["session ends", session_expires_at ?? "-"],
    ["the organisation's credentials are used", fresh],
    ...(bundle_fault === null ? [] : [["the newest bundle is not served", bundle_fault] as const]),
    ...credentials_refused.map(({ id, name, reason }): Row => [`credential ${name ?? id} is refused`, reason]),
  ];
}

function renderRuns(runs: readonly PageRun[]): Html {
  if (runs.length === 0) return html`<p>None.</p>`;
  const rows = runs.map(({ runId, state, agent, startedAt }) => {
    const started = new Date(startedAt).toISOString();
    return html`<tr><td>${runId}</td><td>${state}</td><td>${agent}</td><td>${started}</td></tr>`;
  });
  const head = ["Run", "State", "Agent", "Started"].map((name) => html`<th scope="col">${name}</th>`);
  return html`<table><tr>${head}</tr>${rows}</table>`;
}
