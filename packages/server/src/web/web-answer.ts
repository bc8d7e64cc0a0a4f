import type { Http2ServerRequest } from "node:http2";
import type { FailureBudget } from "../people/failure-budget.ts";
import type { SignInConfig } from "../people/sign-in-config.ts";
import type { ServerContext } from "../server-context.ts";
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
  readonly signIn: SignInConfig;
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

/** The address that a request comes from. */
export function peerOf(request: Http2ServerRequest): string {
  return request.socket.remoteAddress ?? "";
}
