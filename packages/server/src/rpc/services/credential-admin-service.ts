import type { ServiceImpl } from "@connectrpc/connect";
import { Problem } from "@gatehouse/core";
import type { CredentialAdminService, SealedCredential } from "@gatehouse/wire";
import type { Credential, CredentialRecords } from "../../credentials/credential-records.ts";
import { putCredential } from "../../credentials/put-credential.ts";
import { revokeCredential } from "../../credentials/revoke-credential.ts";
import { nextPageToken, readPage } from "../../page.ts";
import type { ServerContext } from "../../server-context.ts";
import { actorOf, operatorCaller } from "../caller.ts";
import { toSafeNumber } from "./safe-number.ts";
import { tellNodes } from "./tell-nodes.ts";

/** Each names the nodes that have it. */
const DEFAULT_PAGE = 250;

/** Sealed credentials, as operators put them and take them back. */
export function credentialAdminService({ store, bus }: ServerContext): ServiceImpl<typeof CredentialAdminService> {
  return {
    putCredential: async ({ credential }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      if (credential === undefined) throw new Problem("api.malformed", { detail: "credential is missing." });
      const { nodeIds } = credential;
      const input = { actor: actorOf(caller), credential: toRecord(credential), nodeIds };
      tellNodes(bus, orgId, await store.inOrg(orgId, (tx) => putCredential(tx, input)));
      return {};
    },
    listCredentials: async (asked, context) => {
      const page = readPage(asked, DEFAULT_PAGE);
      return store.inOrg(operatorCaller(context).orgId, async (tx) => {
        const found = await tx.credentials.list(page);
        const credentials = await Promise.all(found.map((credential) => summarise(tx.credentials, credential)));
        return { credentials, nextPageToken: nextPageToken(found, page, ({ name }) => name) };
      });
    },
    getCredential: async ({ name }, context) =>
      store.inOrg(operatorCaller(context).orgId, async (tx) => {
        const found = await tx.credentials.findByName(name);
        if (found === undefined) throw new Problem("credentials.not_found");
        const { id: credentialId, version, isRotationPending: rotationPending, ...own } = found;
        const nodeIds = [...(await tx.credentials.nodeIdsOf(credentialId))];
        return { credential: { ...own, credentialId, version: BigInt(version), nodeIds }, rotationPending };
      }),
    revokeCredential: async ({ name }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      const input = { actor: actorOf(caller), name };
      tellNodes(bus, orgId, await store.inOrg(orgId, (tx) => revokeCredential(tx, input)));
      return {};
    },
  };
}

function toRecord(sealed: SealedCredential): Omit<Credential, "isRotationPending" | "updatedAt"> {
  const { credentialId: id, name, version, kind, bindings, jwe, signer, signature } = sealed;
  return { id, name, kind, bindings, jwe, signer, signature, version: toSafeNumber(version) };
}

async function summarise(credentials: CredentialRecords, credential: Credential) {
  const { id, name, version, kind, bindings, isRotationPending, updatedAt } = credential;
  return {
    credentialId: id,
    name,
    version: BigInt(version),
    kind,
    bindings,
    nodeIds: [...(await credentials.nodeIdsOf(id))],
    rotationPending: isRotationPending,
    updatedAt: BigInt(updatedAt),
  };
}
