import { createHash } from "node:crypto";
import { type Html, html } from "@gatehouse/kit";
import { STYLE } from "./style.ts";

const STYLE_HASH = createHash("sha256").update(STYLE).digest("base64");

/** What every page is sent with: nothing is loaded, framed, cached, or sent elsewhere. */
export const PAGE_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  // `no-referrer` would make browsers state the origin `null` on our own forms.
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
} as const;

/** A gate between two towers, in the colour of the text around it. */
const MARK = html`<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M2 22V6h2V3h2v3h2V3h2v3h4V3h2v3h2V3h2v3h2v16h-6v-6a4 4 0 0 0-8 0v6Z"/></svg>`;

/** A whole page. */
export function renderPage(title: string, body: Html): string {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · Gatehouse</title><style>${{ html: STYLE }}</style></head>
<body><header>${MARK}Gatehouse</header><main><h1>${title}</h1>
${body}
</main></body></html>
`.html;
}
