import type { Refusal, RequestContext } from "./request-context.ts";

/** A request that was addressed to an MCP server by its name goes only with the credential that the server stands for. */
export function requireCredential({ tunnel, carried, host, port }: RequestContext): Refusal | undefined {
  const auth = tunnel?.mcpServer?.auth;
  if (auth === undefined || carried.some(({ grant, header }) => grant === auth.grant && header === auth.header)) {
    return undefined;
  }
  return {
    code: "gate.credential_missing",
    detail: `The run has no credential of the grant ${auth.grant} for ${auth.header} of ${host}:${port}.`,
  };
}
