import type { Http2ServerRequest } from "node:http2";
import { Problem } from "@gatehouse/core";
import { decideDeviceGrant, findDeviceGrant } from "../people/device-grants.ts";
import { readForm, refuseOtherSites, siteHeaders } from "./browser-request.ts";
import { askCodePage, decidedPage, decidePage } from "./people-pages.ts";
import { findSession, requireSession } from "./sessions.ts";
import { goTo, type PeopleContext, page, type WebAnswer, type WebRoutes } from "./web-answer.ts";

const NOT_FOUND = "No machine waits under this code.";

/** Where a person lets a machine act for them (RFC 8628 §3.3). The code is typed, never part of a link. */
export function deviceRoutes(context: PeopleContext): WebRoutes {
  return {
    "GET /device": async (request) => {
      const caller = await findSession(context, request);
      return caller === undefined ? goTo("/sign-in?to=device") : page(askCodePage(caller));
    },
    "POST /device": (request) => look(context, request),
    "POST /device/decide": (request) => decide(context, request),
  };
}

async function look(context: PeopleContext, request: Http2ServerRequest): Promise<WebAnswer> {
  const { caller, typed, grant } = await readDecision(context, request);
  return grant === undefined
    ? page(askCodePage(caller, NOT_FOUND), { status: 404 })
    : page(decidePage(caller, grant, typed));
}

async function decide(context: PeopleContext, request: Http2ServerRequest): Promise<WebAnswer> {
  const { caller, form, grant } = await readDecision(context, request);
  const decision = form.get("decision");
  if (decision !== "approve" && decision !== "deny") throw new Problem("api.malformed");
  const isApproved = decision === "approve";
  const isDone =
    grant !== undefined &&
    (await context.store.inOrg(caller.orgId, (tx) => decideDeviceGrant(tx, { caller, grant, isApproved })));
  return isDone ? page(decidedPage(isApproved)) : page(askCodePage(caller, NOT_FOUND), { status: 404 });
}

/** Who asks, and about which machine. Codes that are none count against the person who typed them. */
async function readDecision(context: PeopleContext, request: Http2ServerRequest) {
  refuseOtherSites(siteHeaders(request.headers), context.origin);
  const caller = await requireSession(context, request);
  const form = await readForm(request);
  const typed = form.get("user_code") ?? "";
  const account = `member:${caller.memberId}`;
  context.budget.check(account);
  const { macKey } = context.keys;
  const grant = await context.store.inOrg(caller.orgId, (tx) => findDeviceGrant(tx, typed, macKey));
  if (grant === undefined) context.budget.spend(account);
  return { caller, form, typed, grant };
}
