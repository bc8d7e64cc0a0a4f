import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { Problem, type Secret } from "@gatehouse/core";
import { type KeySetDocument, openKnownChannel, toServerProblem } from "@gatehouse/kit";
import {
  AuditAdminService,
  CredentialAdminService,
  NodeAdminService,
  OrgAdminService,
  PolicyAdminService,
} from "@gatehouse/wire";
import { openLastingTransport } from "./lasting-transport.ts";
import { OperatorFiles, type OperatorServer } from "./operator-files.ts";

/** A member's machine on a verified connection to their server. */
export interface Operator {
  readonly files: OperatorFiles;
  readonly server: OperatorServer;
  readonly org: Client<typeof OrgAdminService>;
  readonly nodes: Client<typeof NodeAdminService>;
  readonly audit: Client<typeof AuditAdminService>;
  readonly credentials: Client<typeof CredentialAdminService>;
  readonly policies: Client<typeof PolicyAdminService>;
}

/** Calls the server as the member whose key lies in the state directory. Fails with `org.not_joined`, `server.…`. */
export async function asOperator<T>(stateDir: string, work: (operator: Operator) => Promise<T>): Promise<T> {
  const files = await OperatorFiles.open(stateDir);
  const [server, apiKey] = [await files.server(), await files.apiKey()];
  if (server === undefined || apiKey === undefined) throw new Problem("org.not_joined");
  let { keySet } = server;
  const saveKeySet = async (next: KeySetDocument) => {
    await files.saveServer({ ...server, keySet: next });
    keySet = next;
  };
  using transport = await openLastingTransport(() =>
    openKnownChannel({ ...server, keySet, origin: server.url, saveKeySet }, { interceptors: [withKey(apiKey)] }),
  );
  const clients = {
    org: createClient(OrgAdminService, transport),
    nodes: createClient(NodeAdminService, transport),
    audit: createClient(AuditAdminService, transport),
    credentials: createClient(CredentialAdminService, transport),
    policies: createClient(PolicyAdminService, transport),
  };
  try {
    return await work({ files, server, ...clients });
  } catch (failure) {
    throw toServerProblem(failure);
  }
}

function withKey(apiKey: Secret): Interceptor {
  return (next) => (request) => {
    request.header.set("Authorization", `Bearer ${apiKey.reveal()}`);
    return next(request);
  };
}
