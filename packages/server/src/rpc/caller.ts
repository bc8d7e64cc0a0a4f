import { type ContextValues, createContextKey } from "@connectrpc/connect";
import type { OperatorCaller } from "../orgs/authenticate-operator.ts";
import type { NodeCaller } from "../sessions/authenticate-node.ts";

/** Who makes a call, once it is known. */
export type Caller =
  | { readonly kind: "anonymous" }
  | ({ readonly kind: "node" } & NodeCaller)
  | ({ readonly kind: "operator" } & OperatorCaller);

export const CALLER = createContextKey<Caller>({ kind: "anonymous" }, { description: "caller" });
/** Fails as the call would, once the operator who made it may no longer. */
export const STILL_ALLOWED = createContextKey<() => Promise<void>>(
  () => Promise.reject(new Error("the call was not made by an operator")),
  { description: "still allowed" },
);
/** The address that the connection comes from. */
export const PEER_ADDRESS = createContextKey<string>("", { description: "peer address" });

/** Keeps the connection of a caller who showed who they are, by their id. */
export const KEEP_PEER = createContextKey<(who: string) => void>(() => undefined, {
  description: "keep the peer's connection",
});

interface Called {
  readonly values: ContextValues;
}

/** The node that calls. A bug when the row of the RPC does not ask for one. */
export function nodeCaller({ values }: Called): NodeCaller {
  const caller = values.get(CALLER);
  if (caller.kind !== "node") throw new Error("the call was not made by a node");
  return caller;
}

/** The member that calls. A bug when the row of the RPC does not ask for one. */
export function operatorCaller({ values }: Called): OperatorCaller {
  const caller = values.get(CALLER);
  if (caller.kind !== "operator") throw new Error("the call was not made by an operator");
  return caller;
}

/** How a member is named in the audit log. */
export function actorOf({ member }: OperatorCaller): string {
  return `operator:${member}`;
}
