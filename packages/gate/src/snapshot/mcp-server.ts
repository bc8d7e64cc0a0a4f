import { type Authority, normalisePath, Problem, parseAuthority } from "@gatehouse/core";

/** An MCP server that clients without proxy support reach under a path of the proxy port. */
export interface McpServer {
  /** 1–64 of `[A-Za-z0-9._-]`, never in the shape of a token. */
  readonly name: string;
  readonly url: string;
  /** The credential without which nothing goes there, by its grant and lower-case header. */
  readonly auth: { readonly grant: string; readonly header: string } | undefined;
}

/** Where an MCP server is. */
export interface McpPlace extends Authority {
  readonly server: McpServer;
  readonly isTls: boolean;
  /** Normalised; requests stay at or below it. */
  readonly path: string;
}

const NAME = /^(?![0-9a-f]{64}$)[A-Za-z0-9._-]{1,64}$/;
// No user, no fragment; a query would stand in clear on disk, and may be a secret.
const URL_FORM = /^(https?):\/\/([^/?#@\\]+)(\/[^?#]*)?$/i;

/** Reads name and URL of a server strictly. Fails with `api.malformed`, without saying what the URL was. */
export function parseMcpServer(server: McpServer): McpPlace {
  if (!NAME.test(server.name)) throw malformed("An MCP server's name has 1–64 of [A-Za-z0-9._-]");
  const [, scheme, authority = "", written = "/"] = URL_FORM.exec(server.url) ?? [];
  if (scheme === undefined) throw malformed("An MCP server's url is http or https, without user, query and fragment");
  const isTls = scheme.toLowerCase() === "https";
  const place = parseAuthority(authority, isTls ? 443 : 80);
  if (place === undefined) throw malformed("An MCP server's url names no host");
  const { path, ambiguity } = normalisePath(written);
  if (ambiguity !== undefined) throw malformed(`The path of an MCP server's url can be read in two ways: ${ambiguity}`);
  if (!isTls && server.auth !== undefined) throw malformed("No credential goes to an MCP server in cleartext");
  return { ...place, server, isTls, path };
}

function malformed(detail: string): Problem {
  return new Problem("api.malformed", { detail: `${detail}.` });
}
