import { Problem } from "@gatehouse/core";
import type { Route } from "@gatehouse/kit";
import type { ApiContext } from "./api-context.ts";

/** Features that a caller may rely on; names are never reused. */
const CAPABILITIES: readonly string[] = [
  "runs",
  "runs.containers",
  "runs.extra_headers",
  "runs.remove_headers",
  "runs.network_rules",
  "runs.token_substitutions",
  "runs.slots",
  "runs.response_transformers",
  "runs.mcp_servers",
  "runs.grants",
  "grants",
  "credentials",
  "records",
  "audit",
  "policy.explain",
  "handover",
  "routes",
  "sandboxes",
  "services",
];

/** `GET /v1/health`, `POST /v1/shutdown`. */
export function healthRoutes(context: ApiContext): readonly Route[] {
  // The daemon, which `daemon.lock` names too. Read now: an orphan has another parent.
  const daemonPid = process.ppid;
  return [
    {
      method: "GET",
      path: "/v1/health",
      handle: () => {
        const { proxyPort, runCount, restored, refused, recordsFailing, workers, audit } = context.status();
        return {
          status: 200,
          body: {
            pid: daemonPid,
            proxy_port: proxyPort,
            run_count: runCount,
            started_at: new Date(context.startedAt).toISOString(),
            commit: context.commit,
            ends_when_empty: context.endsWhenEmpty,
            capabilities: CAPABILITIES,
            runs_restored: restored,
            runs_refused: refused.map(({ runId, reason }) => ({ run_id: runId, reason })),
            credentials_unreadable: context.credentials.unreadable,
            records_failing: recordsFailing,
            audit_entries: audit.entries,
            audit_failing: audit.isTaking ? undefined : (audit.reason ?? "too many entries wait"),
            workers_ready: workers.filter(({ isReady }) => isReady).length,
          },
        };
      },
    },
    {
      method: "POST",
      path: "/v1/handover",
      handle: async () => {
        const handed = await context.handOver();
        if (handed === undefined) throw new Problem("gate.not_ready");
        const { pid, control, proxyPort, listeners } = handed;
        const ends_when_empty = context.endsWhenEmpty;
        return { status: 200, body: { pid, control, proxy_port: proxyPort, listeners, ends_when_empty } };
      },
    },
    {
      method: "POST",
      path: "/v1/shutdown",
      handle: () => {
        // The answer leaves before the daemon takes this process down.
        setImmediate(context.requestShutdown);
        return { status: 200, body: {} };
      },
    },
  ];
}
