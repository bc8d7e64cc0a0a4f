import type { Route } from "@gatehouse/kit";
import type { ApiContext } from "./api-context.ts";

/** `POST /v1/audit/head`: signs a head over every entry so far. The log itself is read off the disk by whoever may. */
export function auditRoutes({ audit }: ApiContext): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/v1/audit/head",
      handle: async () => {
        await audit.signHead();
        return { status: 200, body: { log: audit.node, entries: audit.state.entries } };
      },
    },
  ];
}
