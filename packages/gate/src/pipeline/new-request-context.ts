import type { Field, RequestHead } from "../http1/messages.ts";
import { type CompiledRun, NO_PLAN } from "../worker/compile-run.ts";
import type { RequestContext, Tunnel } from "./request-context.ts";

const NONE: ReadonlySet<Field> = new Set();

/** A request before its first stage: nothing is known of it but its head and where it came in. */
export function newRequestContext(run: CompiledRun, head: RequestHead, tunnel: Tunnel | undefined): RequestContext {
  return {
    run,
    head,
    tunnel,
    host: "",
    port: 0,
    isTls: false,
    path: "",
    query: undefined,
    upgrade: undefined,
    plan: NO_PLAN,
    keepsClientAuth: false,
    stripsClientAuth: false,
    rule: undefined,
    fields: [],
    filled: NONE,
    carried: [],
  };
}
