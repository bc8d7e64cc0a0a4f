import type { Http2ServerRequest } from "node:http2";
import type { FailureBudget } from "../limits/failure-budget.ts";
import type { Visitor } from "../people/open-session.ts";
import type { Passwords } from "../people/passwords.ts";
import type { SignInConfig } from "../people/sign-in-config.ts";
import type { ServerContext } from "../server-context.ts";
import { describeBrowser } from "./describe-browser.ts";
import { PAGE_HEADERS } from "./page.ts";

/** What is answered to a browser, or to a machine that asks for a key. */
export interface WebAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body: string;
}

export type WebRoute = (request: Http2ServerRequest, url: URL) => Promise<WebAnswer>;
/** By method and path. */
export type WebRoutes = Readonly<Record<string, WebRoute>>;

/** What the routes for people share. */
export interface PeopleContext extends ServerContext {
  /** Where people sign in at a provider; absent: nowhere. */
  readonly provider: SignInConfig | undefined;
  /** What people who sign in here are known by; absent: nobody does. */
  readonly passwords: Passwords | undefined;
  /** Of people who type codes and machines that ask. */
  readonly budget: FailureBudget;
}

/** A page. */
export function page(body: string, more: { status?: number; headers?: WebAnswer["headers"] } = {}): WebAnswer {
  return { status: more.status ?? 200, headers: { ...PAGE_HEADERS, ...more.headers }, body };
}

/** Sends the browser on. */
export function goTo(location: string, cookies: readonly string[] = []): WebAnswer {
  const headers = { location, "cache-control": "no-store", "referrer-policy": "same-origin", "set-cookie": cookies };
  return { status: 303, headers, body: "" };
}

/** Who asks, as far as a server can tell. */
export function visitorOf(request: Http2ServerRequest): Visitor {
  return { browser: describeBrowser(request.headers["user-agent"] ?? ""), address: peerOf(request) };
}

/** The address that a request comes from. */
export function peerOf(request: Http2ServerRequest): string {
  return request.socket.remoteAddress ?? "";
}
