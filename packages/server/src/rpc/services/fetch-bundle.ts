import type { HandlerContext } from "@connectrpc/connect";
import { base64url } from "@gatehouse/core";
import type { FetchBundleRequest } from "@gatehouse/wire";
import { buildBundle } from "../../bundles/build-bundle.ts";
import { splitPart } from "../../bundles/split-part.ts";
import type { ServerContext } from "../../server-context.ts";
import { nodeCaller } from "../caller.ts";

/** A node's desired state: the signed manifest, then the parts that it does not hold. */
export function fetchBundle({ store, keys, rosters }: Pick<ServerContext, "store" | "keys" | "rosters">) {
  return async function* (
    { held, takesChunks }: Pick<FetchBundleRequest, "held" | "takesChunks">,
    { values }: Pick<HandlerContext, "values">,
  ) {
    const { orgId, nodeId } = nodeCaller({ values });
    const { signed, parts } = await store.inOrg(orgId, (tx) => buildBundle(tx, nodeId, { keys, rosters }));
    const { epoch, generation, issuedAt, manifest, keyId, signature } = signed;
    const counted = { epoch: BigInt(epoch), generation: BigInt(generation), issuedAt: BigInt(issuedAt) };
    const value = { ...counted, keyId, signature, manifest: new TextEncoder().encode(manifest) };
    yield { item: { case: "manifest" as const, value } };
    const known = new Set(held.map(base64url));
    for (const part of parts) {
      if (!known.has(base64url(part.sha256))) yield* splitPart(part, takesChunks);
    }
  };
}
