import { Problem } from "@gatehouse/core";
import type { Route } from "@gatehouse/kit";
import * as z from "zod";
import { guardRegistration } from "../holder/policy-of-grants.ts";
import { lowerKeys, parseRegistration } from "../registry/parse-registration.ts";
import { isExternal } from "../registry/registered-run.ts";
import { actorOf } from "./actor.ts";
import type { ApiContext } from "./api-context.ts";

const containerSchema = z.object({ container_id: z.string().min(1).max(256) });
const LOOK_WITHIN_MS = 2_000;

/** Runs of outside tools: register, list, note the container, delete. */
export function runRoutes({ registry, containers, status, ...vault }: ApiContext): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/v1/runs",
      handle: async ({ body, peer }) => {
        const registration = guardRegistration(parseRegistration(body), { ...vault, credentials: vault.grants });
        const token = await registry.register(registration, actorOf({ peer }));
        return { status: 201, body: { auth_token: token, proxy_port: status().proxyPort } };
      },
    },
    {
      method: "GET",
      path: "/v1/runs",
      handle: () => ({
        status: 200,
        body: registry.list().map((run) => ({
          run_id: run.runId,
          container_id: run.containerId,
          registered_at: new Date(run.registeredAt).toISOString(),
          external: isExternal(run),
        })),
      }),
    },
    {
      method: "PATCH",
      path: "/v1/runs/{token}",
      handle: async ({ params, body, peer }) => {
        const parsed = containerSchema.safeParse(lowerKeys(body));
        if (!parsed.success) throw new Problem("api.malformed", { detail: "container_id is missing." });
        await registry.setContainer(params.token ?? "", parsed.data.container_id, actorOf({ peer }));
        // So that the container can connect as soon as its tool has the answer.
        await containers.lookWithin(LOOK_WITHIN_MS);
        return { status: 204 };
      },
    },
    {
      method: "DELETE",
      path: "/v1/runs/{token}",
      handle: async ({ params, peer }) => {
        await registry.endByToken(params.token ?? "", actorOf({ peer }));
        return { status: 204 };
      },
    },
  ];
}
