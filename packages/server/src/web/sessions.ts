import type { Http2ServerRequest } from "node:http2";
import { Problem } from "@gatehouse/core";
import { authenticateSession, type SessionCaller } from "../people/authenticate-session.ts";
import { readCookie, SESSION_COOKIE } from "./browser-request.ts";
import type { PeopleContext } from "./web-answer.ts";

/** The member whose browser it is. Fails with `auth.refused`. A key beside the cookie is refused too. */
export function requireSession({ store }: PeopleContext, { headers }: Http2ServerRequest): Promise<SessionCaller> {
  if (headers.authorization !== undefined) throw new Problem("auth.refused");
  return authenticateSession(readCookie(headers.cookie, SESSION_COOKIE) ?? "", { store });
}

/** As `requireSession`; `undefined` where nobody is signed in. */
export async function findSession(
  context: PeopleContext,
  request: Http2ServerRequest,
): Promise<SessionCaller | undefined> {
  try {
    return await requireSession(context, request);
  } catch (failure) {
    if (failure instanceof Problem && failure.code === "auth.refused") return undefined;
    throw failure;
  }
}
