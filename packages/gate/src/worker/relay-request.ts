import { normalisePath } from "@gatehouse/core";
import { field } from "../http1/fields.ts";
import type { RequestHead } from "../http1/messages.ts";
import type { McpPlace } from "../snapshot/mcp-server.ts";
import type { RunEntry } from "./run-table.ts";
import type { Identified } from "./session-role.ts";

/** What the path of a relayed request says. */
export interface RelayTarget {
  /** Absent where the run is named in `Proxy-Authorization` alone. */
  readonly token: string | undefined;
  readonly server: string;
  /** What stands behind the server's name, as sent. */
  readonly path: string;
  readonly query: string;
}

const TARGET = /^\/mcp\/(?:([0-9a-f]{64})\/)?([^/?]+)([^?]*)(.*)$/;

/** Reads `/mcp/[TOKEN/]NAME[/…]`. `undefined`: the target is another. */
export function readRelayTarget(target: string): RelayTarget | undefined {
  const [, token, server, path = "", query = ""] = TARGET.exec(target) ?? [];
  return server === undefined ? undefined : { token, server, path, query };
}

/**
 * Turns a request that names an MCP server into the one that it stands for, which then goes the way of every request.
 * Its path cannot leave the server's own: what upstreams could read in two ways is refused.
 */
export function relayRequest(entry: RunEntry, head: RequestHead, asked: RelayTarget): Identified {
  const place = entry.current.mcpServers.get(asked.server);
  if (place === undefined) {
    return { entry, refusal: { code: "gate.mcp_server_unknown", detail: "The run has no MCP server of this name." } };
  }
  const { path, ambiguity } = normalisePath(asked.path === "" ? "/" : asked.path);
  if (ambiguity !== undefined) {
    const detail = `The path below an MCP server can be read in two ways: ${ambiguity}.`;
    return { entry, refusal: { code: "gate.ambiguous_request", detail } };
  }
  const below = asked.path === "" ? place.path : place.path.replace(/\/$/, "") + path;
  const fields = head.fields.filter(({ lowerName }) => !OWN_URL.has(lowerName));
  const { host, port, isTls, server } = place;
  return {
    entry,
    relayed: {
      head: { ...head, target: below + asked.query, fields: [...fields, field("Host", authorityOf(place))] },
      tunnel: { host, port, isTls, mcpServer: server },
    },
  };
}

/** Fields that repeat the address by which the client reached the gate, the run's token in it. */
const OWN_URL: ReadonlySet<string> = new Set(["host", "referer"]);

function authorityOf({ host, port }: McpPlace): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
