import { proxyToUnix, type Route } from "@gatehouse/kit";
import type { ApiContext } from "./api-context.ts";

/** Calls that are the daemon's: they pass through to its own socket, byte for byte. */
export function nodeRoutes({ nodeSocketPath, nodeServes }: ApiContext): readonly Route[] {
  return ["/v1/sandboxes/**", "/v1/routes/**", "/v1/status", "/v1/stop-all"].map((path) => ({
    method: "*",
    path,
    relay: async ({ request, response }) => {
      await nodeServes;
      await proxyToUnix(request, response, nodeSocketPath);
    },
  }));
}
