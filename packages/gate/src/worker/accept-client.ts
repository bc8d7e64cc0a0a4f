import type { Socket } from "node:net";
import { getAllFields } from "../http1/fields.ts";
import type { RequestHead } from "../http1/messages.ts";
import { checkConnect } from "../pipeline/check-connect.ts";
import { HttpSession } from "./http-session.ts";
import { identifyRun, type ListenerPlace, readToken } from "./identify-run.ts";
import { type RelayTarget, readRelayTarget, relayRequest } from "./relay-request.ts";
import { TunnelOpening } from "./tunnel.ts";
import type { WorkerContext } from "./worker-context.ts";

/** Serves one connection of a listener as a proxy: absolute-form requests, CONNECT, and MCP servers by path. */
export function acceptClient(client: Socket, worker: WorkerContext, place: ListenerPlace): void {
  client.setNoDelay(true);
  const session = new HttpSession(client, worker, {
    tunnel: undefined,
    holder: holderAt(place),
    identify: (head) => {
      const asked = readRelayTarget(head.target);
      const identified = identifyRun(worker.runs, tokenOf(head, asked), place);
      if ("refusal" in identified) return identified;
      const { connections } = identified.entry;
      if (connections.size >= worker.config.maxConnectionsPerRun && !connections.has(session)) {
        return { refusal: { code: "gate.overloaded", detail: "The run has too many connections open." } };
      }
      if (!connections.has(session)) {
        connections.add(session);
        client.once("close", () => connections.delete(session));
      }
      return asked === undefined ? identified : relayRequest(identified.entry, head, asked);
    },
    checkConnect: (entry, head) => checkConnect(entry.current, head),
    onConnect: (request) => {
      request.entry.connections.delete(session);
      new TunnelOpening(client, worker, request);
    },
  });
}

/** Whose run it is, a sandbox's listener says; elsewhere only its head will, so all that come from there share. */
function holderAt(place: ListenerPlace): string {
  return place.kind === "sandbox" ? place.runId : `${place.kind} ${place.kind === "address" ? place.peer : ""}`;
}

/** In the path only for clients that cannot send it as a proxy's: where both are there, both must be the same. */
function tokenOf({ fields }: RequestHead, asked: RelayTarget | undefined): string | undefined {
  const stated = readToken(fields);
  if (asked?.token === undefined) return stated;
  const isAlone = getAllFields(fields, "proxy-authorization").length === 0;
  return isAlone || stated === asked.token ? asked.token : undefined;
}
