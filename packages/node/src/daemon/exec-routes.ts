import type { Route } from "@gatehouse/kit";
import { parseExecRequest } from "../runs/exec-request.ts";
import type { Execs } from "../runs/execs.ts";
import { parseRunEnd } from "../runs/run-files.ts";

/** What `node.sock` answers on further commands in runs. */
export function execRoutes(execs: Execs): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/v1/sandboxes/{id}/exec",
      handle: async ({ params, body }) => {
        const asked = { isHeld: true, actor: "local" };
        const { execId, keeper } = await execs.start(params.id ?? "", parseExecRequest(body), asked);
        return { status: 201, body: { exec_id: execId, keeper } };
      },
    },
    {
      method: "POST",
      path: "/v1/sandboxes/{id}/execs/{exec}/exited",
      handle: async ({ params, body }) => {
        await execs.exited(params.exec ?? "", parseRunEnd(body));
        return { status: 204 };
      },
    },
  ];
}
