import { field } from "../http1/fields.ts";
import type { ResponseHead } from "../http1/messages.ts";
import type { RequestContext } from "./request-context.ts";

/** An answer that is given in place of the destination's. */
export interface OwnAnswer {
  readonly head: ResponseHead;
  readonly body: Buffer;
}

/** Where a service tells about the person behind a token; tokens of limited scope get 403 there. */
const OAUTH_ENDPOINT = /\/oauth\/(?:[a-z0-9_-]+\/)?(?:profile|usage)$/;
const EMPTY = Buffer.from("{}");

/** `oauth-endpoint-workaround`: clients that stop at such a 403 get an empty 200, marked as not the service's own. */
export function transformAnswer(head: ResponseHead, context: RequestContext): OwnAnswer | undefined {
  const { plan, path, head: request } = context;
  const isMeant = plan.transformers.has("oauth-endpoint-workaround") && request.method === "GET";
  if (!isMeant || head.status !== 403 || !OAUTH_ENDPOINT.test(path)) return undefined;
  return {
    body: EMPTY,
    head: {
      status: 200,
      reason: "OK",
      minorVersion: 1,
      isPersistent: false,
      framing: { kind: "length", bytes: EMPTY.length },
      fields: [
        field("Content-Type", "application/json"),
        field("Content-Length", String(EMPTY.length)),
        field("X-Gatehouse-Transformed", "oauth-endpoint-workaround"),
      ],
    },
  };
}
