import { once } from "node:events";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { request } from "node:https";

export interface VisitOptions {
  /** Sent as a form, as from a page of the same origin. */
  readonly form?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** The loopback address that it comes from. */
  readonly from?: string;
}

export interface Visited {
  readonly url: string;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

const MAX_REDIRECTS = 12;
const FORM_HEADERS = { "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin" };

/** Somebody's browser without a screen: keeps cookies for each host and port, follows redirects, states its origin. */
export class ScriptedBrowser {
  readonly #jars = new Map<string, Map<string, string>>();

  /** The cookies of an origin, as they would be sent. */
  cookies(origin: string): ReadonlyMap<string, string> {
    return this.#jar(origin);
  }

  setCookie(origin: string, name: string, value: string): void {
    this.#jar(origin).set(name, value);
  }

  /** One request; a redirect is its answer. */
  async visitOnce(url: string, { form, headers = {}, from }: VisitOptions = {}): Promise<Visited> {
    const { origin } = new URL(url);
    const jar = this.#jar(origin);
    const cookie = jar.size === 0 ? {} : { cookie: [...jar].map((pair) => pair.join("=")).join("; ") };
    const posted = form === undefined ? {} : { ...FORM_HEADERS, origin };
    const sent = request(url, {
      method: form === undefined ? "GET" : "POST",
      headers: { ...cookie, ...posted, ...headers },
      // Whom it speaks to is not what these tests are about.
      rejectUnauthorized: false,
      agent: false,
      ...(from === undefined ? {} : { localAddress: from }),
    });
    sent.end(form === undefined ? undefined : new URLSearchParams(form).toString());
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    for (const line of answer.headers["set-cookie"] ?? []) keep(jar, line);
    let text = "";
    for await (const chunk of answer) text += String(chunk);
    return { url, status: answer.statusCode ?? 0, headers: answer.headers, text };
  }

  /** Follows redirects until something else is answered, or until `stopAt` says so of the next URL. */
  async visit(url: string, options: VisitOptions & { readonly stopAt?: (url: URL) => boolean } = {}): Promise<Visited> {
    let visited = await this.visitOnce(url, options);
    for (let turn = 0; turn < MAX_REDIRECTS; turn += 1) {
      const { location } = visited.headers;
      if (location === undefined) return visited;
      const next = new URL(location, visited.url);
      if (options.stopAt?.(next) === true) return { ...visited, url: next.href };
      visited = await this.visitOnce(next.href);
    }
    throw new Error("too many redirects");
  }

  #jar(origin: string): Map<string, string> {
    const jar = this.#jars.get(origin) ?? new Map<string, string>();
    this.#jars.set(origin, jar);
    return jar;
  }
}

function keep(jar: Map<string, string>, line: string): void {
  const [pair = "", ...attributes] = line.split(";");
  const at = pair.indexOf("=");
  const name = pair.slice(0, at).trim();
  const isOver = attributes.some((one) => /^\s*(max-age=0|expires=thu, 01 jan 1970)/i.test(one));
  if (isOver) jar.delete(name);
  else jar.set(name, pair.slice(at + 1).trim());
}
