import { Code, ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { Problem } from "@gatehouse/core";
import { NONCE_HEADER } from "@gatehouse/kit";
import { type CallerRow, callerRow, NodeGatewayService } from "@gatehouse/wire";
import {
  type AuthenticateOperatorDeps,
  authenticateOperator,
  type OperatorCaller,
} from "../orgs/authenticate-operator.ts";
import { leastRole, mayDo } from "../orgs/roles.ts";
import { type AuthenticateSessionDeps, authenticateSession } from "../people/authenticate-session.ts";
import { type AuthenticateNodeDeps, authenticateNode } from "../sessions/authenticate-node.ts";
import { issueNonce } from "../sessions/proof-nonce.ts";
import { readCookie, refuseOtherSites, SESSION_COOKIE } from "../web/browser-request.ts";
import { CALLER, type Caller, KEEP_PEER, STILL_ALLOWED } from "./caller.ts";
import { NonceProblem } from "./nonce-problem.ts";

export interface AuthenticateDeps extends AuthenticateNodeDeps {
  readonly store: AuthenticateNodeDeps["store"] & AuthenticateOperatorDeps["store"] & AuthenticateSessionDeps["store"];
  readonly origin: string;
  readonly now: () => number;
}

type Request = UnaryRequest | StreamRequest;

/** Finds out who calls, by the row of the RPC, before anything of the request is read. No row: nobody may call. */
export function authenticate(deps: AuthenticateDeps): Interceptor {
  return (next) => async (request) => {
    const row = callerRow(request.service.typeName, request.method.localName);
    if (row === undefined) throw new ConnectError("unknown method", Code.Unimplemented);
    if (row.auth !== "node") {
      request.contextValues.set(CALLER, await identifyOther(request, row, deps));
      request.contextValues.set(STILL_ALLOWED, async () => void (await identifyOther(request, row, deps)));
      const answer = await next(request);
      // The first call of a session need not come twice to learn its nonce (RFC 9449 §8.2).
      if (request.method === NodeGatewayService.method.completeAuthHandshake) giveNonce(answer.header, deps);
      return answer;
    }
    request.contextValues.set(CALLER, await identifyNode(request, deps));
    const response = await next(request);
    giveNonce(response.header, deps);
    return response;
  };
}

function giveNonce(header: Headers, { macKey, now }: AuthenticateDeps): void {
  header.set(NONCE_HEADER, issueNonce(macKey, now()));
}

async function identifyNode(
  { header, service, method, contextValues }: Request,
  deps: AuthenticateDeps,
): Promise<Caller> {
  try {
    refuseTwoKinds(header);
    const url = `${deps.origin}/${service.typeName}/${method.name}`;
    const own = { token: schemeValue(header, "DPoP"), proof: header.get("DPoP") ?? "", url };
    const node = await authenticateNode(own, deps);
    contextValues.get(KEEP_PEER)(node.nodeId);
    return { kind: "node", ...node };
  } catch (failure) {
    throw failure instanceof Problem ? new NonceProblem(failure, issueNonce(deps.macKey, deps.now())) : failure;
  }
}

type OtherRow = Exclude<CallerRow, { readonly auth: "node" }>;

async function identifyOther(
  { header, contextValues }: Request,
  row: OtherRow,
  deps: AuthenticateDeps,
): Promise<Caller> {
  if (row.auth !== "operator") return { kind: "anonymous" };
  refuseTwoKinds(header);
  const operator = await identifyOperator(header, deps);
  contextValues.get(KEEP_PEER)(operator.memberId);
  if (!mayDo(operator.role, row.permission)) {
    const detail = `It takes the role ${leastRole(row.permission)}; the caller acts as ${operator.role}.`;
    throw new Problem("auth.forbidden", { detail });
  }
  return { kind: "operator", ...operator };
}

/** The member who calls, whatever they may. Fails where nobody does. */
export async function recogniseMember(header: Headers, deps: AuthenticateDeps): Promise<OperatorCaller> {
  refuseTwoKinds(header);
  return await identifyOperator(header, deps);
}

/** By a key; or in a browser by the cookie of its session, when a page of this server calls. */
function identifyOperator(header: Headers, deps: AuthenticateDeps): Promise<OperatorCaller> {
  const session = readCookie(header.get("Cookie") ?? undefined, SESSION_COOKIE);
  if (session === undefined) return authenticateOperator(schemeValue(header, "Bearer"), deps);
  const sent = { origin: header.get("Origin") ?? undefined, fetchSite: header.get("Sec-Fetch-Site") ?? undefined };
  refuseOtherSites(sent, deps.origin);
  return authenticateSession(session, deps);
}

function schemeValue(header: Headers, scheme: "DPoP" | "Bearer"): string {
  const [found, value = "", ...rest] = (header.get("Authorization") ?? "").split(" ");
  if (found !== scheme || value === "" || rest.length > 0) throw new Problem("auth.refused");
  return value;
}

/** A page's cookie beside a key would let one be used under the other's name. */
function refuseTwoKinds(header: Headers): void {
  if (header.has("Cookie") && header.has("Authorization")) throw new Problem("auth.refused");
}
