import { readDaemonLock, requestUnixOk } from "@gatehouse/kit";
import type { Invocation } from "../invocation.ts";

/** A credential of a node, as its daemon lists it. */
export interface ListedCredential {
  readonly id: string;
  readonly name: string;
  readonly service?: string;
  readonly origin: string;
  readonly created_at: string;
  readonly hosts: readonly string[];
}

export async function listOnNode(socketPath: string): Promise<readonly ListedCredential[]> {
  return (await requestUnixOk({ socketPath, path: "/v1/credentials" })) as readonly ListedCredential[];
}

/** On an operator's machine whose daemon runs: the machine's own credentials, which no organisation knows. */
export async function listOwn({ config, socketPath }: Invocation): Promise<readonly ListedCredential[]> {
  if ((await readDaemonLock(config.state.dir)) === undefined) return [];
  return (await listOnNode(socketPath)).filter(({ origin }) => origin !== "organisation");
}
