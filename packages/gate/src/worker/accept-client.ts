import type { Socket } from "node:net";
import { checkConnect } from "../pipeline/check-connect.ts";
import { HttpSession } from "./http-session.ts";
import { identifyRun, type ListenerPlace } from "./identify-run.ts";
import { TunnelOpening } from "./tunnel.ts";
import type { WorkerContext } from "./worker-context.ts";

/** Serves one connection of a listener as a proxy: absolute-form requests, and CONNECT. */
export function acceptClient(client: Socket, worker: WorkerContext, place: ListenerPlace): void {
  client.setNoDelay(true);
  const session = new HttpSession(client, worker, {
    tunnel: undefined,
    identify: (head) => {
      const identified = identifyRun(worker.runs, head.fields, place);
      if ("refusal" in identified) return identified;
      const { connections } = identified.entry;
      if (connections.size >= worker.config.maxConnectionsPerRun && !connections.has(session)) {
        return { refusal: { code: "gate.overloaded", detail: "The run has too many connections open." } };
      }
      if (!connections.has(session)) {
        connections.add(session);
        client.once("close", () => connections.delete(session));
      }
      return identified;
    },
    checkConnect: (entry, head) => checkConnect(entry.current, head),
    onConnect: (request) => {
      request.entry.connections.delete(session);
      new TunnelOpening(client, worker, request);
    },
  });
}
