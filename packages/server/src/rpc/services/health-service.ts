import { setTimeout as wait } from "node:timers/promises";
import type { ServiceImpl } from "@connectrpc/connect";
import { Problem } from "@gatehouse/core";
import type { HealthReport } from "@gatehouse/kit";
import { type Health, SERVICES, HealthCheckResponse_ServingStatus as Status } from "@gatehouse/wire";

const LOOK_EVERY_MS = 2_000;

/** What `/readyz` says, for clients and balancers that ask by gRPC. All services are served, or none. */
export function healthService(report: () => Promise<HealthReport>): ServiceImpl<typeof Health> {
  const statusOf = async () => ((await report()).status === "ok" ? Status.SERVING : Status.NOT_SERVING);
  return {
    check: async ({ service }) => {
      if (!isServed(service)) throw new Problem("api.unknown_path");
      return { status: await statusOf() };
    },
    watch: async function* ({ service }, { signal }) {
      let said: Status | undefined;
      while (!signal.aborted) {
        const status = isServed(service) ? await statusOf() : Status.SERVICE_UNKNOWN;
        if (status !== said) yield { status };
        said = status;
        await wait(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
      }
    },
  };
}

function isServed(service: string): boolean {
  return service === "" || Object.hasOwn(SERVICES, service);
}
