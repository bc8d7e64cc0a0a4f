import { createHash } from "node:crypto";

/** Text that may stand in a page: made by `html` alone, which escapes what is put into it. */
export interface Html {
  readonly html: string;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to be shown as escapes
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** Fills a template; whatever is not `Html` itself is escaped, characters that nobody sees as `\uXXXX`. */
export function html(parts: TemplateStringsArray, ...values: readonly (string | Html)[]): Html {
  const filled = parts.map((part, at) => {
    const value = values[at];
    return part + (value === undefined ? "" : typeof value === "string" ? escaped(value) : value.html);
  });
  return { html: filled.join("") };
}

function escaped(text: string): string {
  return text
    .replace(UNSEEN, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .replace(/[&<>"']/g, (char) => ESCAPES[char] ?? "");
}

const STYLE = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:32rem;margin:15vh auto 0;padding:0 1rem}
h1{font-size:1.4rem}input,button{font:inherit;padding:.5rem .8rem;margin:.3rem .3rem .3rem 0}
input{font-family:ui-monospace,monospace;letter-spacing:.1em;text-transform:uppercase}dt{opacity:.7}dd{margin:0 0 .5rem}`;

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

/** A whole page. */
export function renderPage(title: string, body: Html): string {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title} · Gatehouse</title><style>${{ html: STYLE }}</style></head>
<body><main><h1>${title}</h1>
${body}
</main></body></html>
`.html;
}
