import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { PROBLEMS, toProblem } from "@gatehouse/core";
import { AdmissionQueue } from "../limits/admission-queue.ts";
import { FailureBudget } from "../limits/failure-budget.ts";
import { Passwords } from "../people/passwords.ts";
import type { SignInConfig } from "../people/sign-in-config.ts";
import type { Handle } from "../rpc/open-listener.ts";
import type { ServerContext } from "../server-context.ts";
import { accountRoutes } from "./account-routes.ts";
import { deviceRoutes } from "./device-routes.ts";
import { passwordRoutes } from "./password-routes.ts";
import { failurePage } from "./people-pages.ts";
import { signInRoutes } from "./sign-in-routes.ts";
import { tokenRoutes } from "./token-routes.ts";
import { page, peerOf, type WebAnswer, type WebRoute, type WebRoutes } from "./web-answer.ts";

const BUDGET = { burst: 20, forgiveEveryMs: 30_000 };

/**
 * Each takes 64 MiB and one of the runtime's four threads for a tenth of a second: one of them is left for files and
 * names, whoever guesses.
 */
const HASHING = { unknown: { running: 2, waiting: 24 }, known: { running: 1, waiting: 24 } } as const;

/**
 * Sign-in, accounts, and the device grant for the command line. `undefined` for whatever it does not answer. Nothing of
 * it is there where nobody can sign in.
 */
export function peopleRoutes(
  server: ServerContext,
  provider: SignInConfig | undefined,
): (method: string, path: string) => Handle | undefined {
  if (provider === undefined && !server.hasPasswords) return () => undefined;
  const queues = { unknown: new AdmissionQueue(HASHING.unknown), known: new AdmissionQueue(HASHING.known) };
  const passwords = server.hasPasswords ? new Passwords({ random: server.random, queues }) : undefined;
  const context = { ...server, provider, passwords, budget: new FailureBudget(BUDGET, server.clock) };
  const routes: WebRoutes = {
    ...signInRoutes(context),
    ...passwordRoutes(context),
    ...accountRoutes(context),
    ...deviceRoutes(context),
    ...tokenRoutes(context),
  };
  return (method, path) => {
    const name = `${method} ${path}`;
    const route = Object.hasOwn(routes, name) ? routes[name] : undefined;
    return route === undefined ? undefined : (request, response) => void serve({ request, response, route, server });
  };
}

interface Exchange {
  readonly request: Http2ServerRequest;
  readonly response: Http2ServerResponse;
  readonly route: WebRoute;
  readonly server: ServerContext;
}

async function serve({ request, response, route, server }: Exchange): Promise<void> {
  const url = new URL(request.url, server.origin);
  const answer = await route(request, url).catch((failure: unknown): WebAnswer => {
    const { code, message } = toProblem(failure);
    const own = { path: url.pathname, peer: peerOf(request), code };
    if (PROBLEMS[code].rpc === "internal") server.log.error("page failed", { ...own, error: failure });
    else server.log.info("page refused", { ...own, error: causeOf(failure) });
    return page(failurePage(message), { status: PROBLEMS[code].http });
  });
  if (response.stream?.destroyed === true) return;
  response.writeHead(answer.status, answer.headers as Record<string, string | string[]>);
  response.end(answer.body);
}

/** What a library says of a failure, never what the provider sent: that may be a token. */
function causeOf(failure: unknown): string | undefined {
  const cause = failure instanceof Error ? failure.cause : undefined;
  return cause instanceof Error && "code" in cause ? String(cause.code) : undefined;
}
