import { createClient } from "@connectrpc/connect";
import { newOrgTuple, parseCode, Secret } from "@gatehouse/core";
import { openPinnedChannel, sha256, toServerProblem, writeRosterMessage } from "@gatehouse/kit";
import { OrgAdminService } from "@gatehouse/wire";
import { asOperator } from "./open-operator.ts";
import type { OperatorFiles } from "./operator-files.ts";
import { signRoster } from "./sign-roster.ts";

export interface NewOrganisation {
  readonly files: OperatorFiles;
  readonly origin: string;
  readonly name: string;
  readonly owner: string;
  readonly setupCode: string;
}

/** Makes an organisation: its keys here, on disk before the server hears of them. Fails with `server.…`, `org.…`. */
export async function createOrg({ files, origin, name, owner, setupCode }: NewOrganisation): Promise<void> {
  const { pin, secret } = parseCode("ghs", setupCode);
  const { signing, encryption } = await files.openOrgKeys();
  const { channel, identity } = await openPinnedChannel(origin, pin);
  using _ = channel;
  const own = { name, owner, orgKey: signing.publicKey, orgEncryptionKey: encryption.publicKey };
  const tuple = newOrgTuple({ ...own, serverIdentityKey: identity.identityKey, codeSha256: sha256(secret) });
  try {
    const proof = signing.sign(tuple);
    const client = createClient(OrgAdminService, channel.transport);
    const { orgId, apiKey } = await client.createOrg({ ...own, setupCode, proof });
    await files.saveApiKey(new Secret(apiKey));
    const { identityKey, keySet } = identity;
    const keys = { orgKey: own.orgKey, orgEncryptionKey: own.orgEncryptionKey };
    await files.saveServer({ url: origin, orgId, org: name, owner, identityKey, keySet, ...keys });
  } catch (failure) {
    throw toServerProblem(failure);
  }
}

/** The first roster certifies this operator's key. One that is there already stands. */
export async function putFirstRoster(stateDir: string) {
  return asOperator(stateDir, async ({ files, server, org }) => {
    const { roster } = await org.getOrg({});
    if (roster === undefined) {
      const { orgId } = server;
      const signing = await files.requireOrgKey();
      const operatorKeys = [(await files.openOperatorKey()).publicKey];
      const first = { orgId, version: 1, issuedAt: Date.now(), nodes: [], operatorKeys };
      const signed = signRoster(first, signing);
      await org.putRoster({ roster: writeRosterMessage(signed) });
      await files.saveRoster(signed);
    }
    return server;
  });
}
