import type { Route } from "@gatehouse/kit";
import type { ApiContext } from "./api-context.ts";
import { auditRoutes } from "./audit-routes.ts";
import { grantRoutes } from "./grant-routes.ts";
import { healthRoutes } from "./health-routes.ts";
import { nodeRoutes } from "./node-routes.ts";
import { policyRoutes } from "./policy-routes.ts";
import { recordRoutes } from "./record-routes.ts";
import { runRoutes } from "./run-routes.ts";

/** Everything that `daemon.sock` answers. */
export function localApiRoutes(context: ApiContext): readonly Route[] {
  return [
    ...healthRoutes(context),
    ...runRoutes(context),
    ...grantRoutes(context),
    ...policyRoutes(context),
    ...recordRoutes(context),
    ...auditRoutes(context),
    ...nodeRoutes(context),
  ];
}
