import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { openKnownChannel } from "@gatehouse/kit";
import { CredentialAdminService, NodeAdminService, PolicyAdminService } from "@gatehouse/wire";
import { OperatorFiles } from "../../packages/cli/src/operator/operator-files.ts";

/** What a bench asks as a member, on one connection. */
export interface BenchOperator extends Disposable {
  readonly nodes: Client<typeof NodeAdminService>;
  readonly policies: Client<typeof PolicyAdminService>;
  readonly credentials: Client<typeof CredentialAdminService>;
}

/** As the member whose key lies in the state directory. */
export async function openBenchOperator(stateDir: string): Promise<BenchOperator> {
  const files = await OperatorFiles.open(stateDir);
  const [server, apiKey] = [await files.server(), await files.apiKey()];
  if (server === undefined || apiKey === undefined) throw new Error("there is no member");
  const withKey: Interceptor = (next) => (request) => {
    request.header.set("Authorization", `Bearer ${apiKey.reveal()}`);
    return next(request);
  };
  const saveKeySet = () => Promise.reject(new Error("the server of a bench changes no keys"));
  const known = { ...server, origin: server.url, saveKeySet };
  const channel = await openKnownChannel(known, { interceptors: [withKey] });
  return {
    nodes: createClient(NodeAdminService, channel.transport),
    policies: createClient(PolicyAdminService, channel.transport),
    credentials: createClient(CredentialAdminService, channel.transport),
    [Symbol.dispose]: () => channel[Symbol.dispose](),
  };
}
