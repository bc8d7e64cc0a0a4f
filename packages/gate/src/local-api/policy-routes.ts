import { Problem } from "@gatehouse/core";
import type { Route } from "@gatehouse/kit";
import * as z from "zod";
import { explainUnderGrants } from "../explain/explain-policy.ts";
import { explainRequest } from "../explain/explain-request.ts";
import { systemLookUp } from "../upstream/resolve-checked.ts";
import { CompiledRun } from "../worker/compile-run.ts";
import type { ApiContext } from "./api-context.ts";

const explainSchema = z.object({
  run_id: z.string().optional(),
  policy: z.unknown().optional(),
  grants: z.array(z.string()).max(64).default([]),
  method: z.string().default("GET"),
  url: z.string().max(32_768),
  /** Looks the host up, too. */
  resolve: z.boolean().default(false),
});

/** `POST /v1/policy/explain`: what the gate would do with a request of a run, or of one that is not started yet. */
export function policyRoutes({
  registry,
  grants: known,
  templates,
  hosts,
  ownAddresses,
}: ApiContext): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/v1/policy/explain",
      handle: async ({ body }) => {
        const parsed = explainSchema.safeParse(body);
        if (!parsed.success) throw new Problem("api.malformed", { detail: "url, and run_id or policy, are needed." });
        const { run_id: runId, policy, grants, method, url, resolve } = parsed.data;
        const deps = {
          hosts,
          ownAddresses,
          ...(resolve ? { lookUp: systemLookUp } : {}),
        };
        if (runId === undefined) {
          const granted = grants.map((name) => known.require(name));
          return {
            status: 200,
            body: await explainUnderGrants({ policy, granted, templates }, { method, url }, deps),
          };
        }
        const snapshot = registry.snapshots().find((one) => one.runId === runId);
        if (snapshot === undefined) throw new Problem("runs.not_found");
        return { status: 200, body: await explainRequest(new CompiledRun(snapshot), { method, url }, deps) };
      },
    },
  ];
}
