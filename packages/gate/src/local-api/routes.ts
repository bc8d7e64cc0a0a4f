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
  const changing = [...runRoutes(context), ...grantRoutes(context)];
  return [
    ...healthRoutes(context),
    ...changing.map((route) => asChange(route, context)),
    ...policyRoutes(context),
    ...recordRoutes(context),
    ...auditRoutes(context),
    ...nodeRoutes(context),
  ];
}

/** A request that came before a hand-over may have a body that comes after it. */
function asChange(route: Route, { changes }: ApiContext): Route {
  if (route.method === "GET" || !("handle" in route)) return route;
  return { ...route, handle: (request) => changes.make(async () => route.handle(request)) };
}
