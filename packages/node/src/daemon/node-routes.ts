import { constants } from "node:os";
import { join } from "node:path";
import { Problem } from "@gatehouse/core";
import type { Route } from "@gatehouse/kit";
import * as z from "zod";
import type { StopAll } from "../local-page/stop-all.ts";
import { parseCreateRequest } from "../runs/create-request.ts";
import { parseRunEnd, type RunFiles, type RunRecord } from "../runs/run-files.ts";
import type { Sandboxes } from "../runs/sandboxes.ts";
import { sendLog } from "./send-log.ts";

export interface NodeApi {
  readonly sandboxes: Sandboxes;
  readonly files: RunFiles;
  readonly status: () => Promise<object>;
  readonly stopAll: Pick<StopAll, "run">;
}

const signalSchema = z.object({ signal: z.enum(Object.keys(constants.signals)) });

const stopAllSchema = z.strictObject({ idempotency_key: z.string().regex(/^[A-Za-z0-9-]{1,128}$/) });

/** What `node.sock` answers: sandboxes and status. No credential value comes this way. */
export function nodeRoutes({ sandboxes, files, status, stopAll }: NodeApi): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/v1/sandboxes",
      handle: async ({ body }) => ({ status: 201, body: await sandboxes.create(parseCreateRequest(body)) }),
    },
    { method: "GET", path: "/v1/sandboxes", handle: () => ({ status: 200, body: sandboxes.list().map(describe) }) },
    {
      method: "GET",
      path: "/v1/sandboxes/{id}",
      handle: async ({ params }) => {
        const record = sandboxes.get(params.id ?? "");
        return { status: 200, body: { ...describe(record), policy: await files.policy(record.keeper) } };
      },
    },
    {
      method: "DELETE",
      path: "/v1/sandboxes/{id}",
      handle: async ({ params }) => {
        await sandboxes.stop(params.id ?? "");
        return { status: 204 };
      },
    },
    {
      method: "POST",
      path: "/v1/sandboxes/{id}/signal",
      handle: async ({ params, body }) => {
        const parsed = signalSchema.safeParse(body);
        if (!parsed.success)
          throw new Problem("api.malformed", { detail: "signal is missing or none of this system." });
        await sandboxes.signal(params.id ?? "", parsed.data.signal);
        return { status: 204 };
      },
    },
    {
      method: "POST",
      path: "/v1/sandboxes/{id}/started",
      handle: async ({ params }) => {
        await sandboxes.started(params.id ?? "");
        return { status: 204 };
      },
    },
    {
      method: "POST",
      path: "/v1/sandboxes/{id}/exited",
      handle: async ({ params, body }) => {
        await sandboxes.exited(params.id ?? "", parseRunEnd(body));
        return { status: 204 };
      },
    },
    {
      method: "GET",
      path: "/v1/sandboxes/{id}/logs",
      relay: async ({ request, response, params, signal }) => {
        const follows = new URL(request.url ?? "", "http://local").searchParams.has("follow");
        const runId = params.id ?? "";
        const record = sandboxes.get(runId);
        if (!record.isDetached) throw new Problem("runs.not_found", { detail: "A foreground run keeps no output." });
        response.writeHead(200, { "content-type": "application/octet-stream" });
        const isRunning = () =>
          follows && sandboxes.list().some((one) => one.runId === runId && one.state !== "exited");
        await sendLog({ response, signal, isRunning, path: join(files.directory(record.keeper), "output.log") });
      },
    },
    {
      method: "POST",
      path: "/v1/stop-all",
      handle: async ({ body }) => {
        const parsed = stopAllSchema.safeParse(body);
        if (!parsed.success) throw new Problem("api.malformed", { detail: "idempotency_key is missing or malformed." });
        const { idempotency_key: idempotencyKey } = parsed.data;
        return { status: 200, body: await stopAll.run({ origin: "socket", idempotencyKey }) };
      },
    },
    { method: "GET", path: "/v1/status", handle: async () => ({ status: 200, body: await status() }) },
  ];
}

function describe(record: RunRecord): object {
  return {
    run_id: record.runId,
    state: record.state,
    driver: record.driver,
    exposed: record.driver === "process",
    agent: record.agent,
    project: record.project,
    command: record.command,
    workspace: record.workspace,
    grants: record.grants,
    detached: record.isDetached,
    created_at: new Date(record.createdAt).toISOString(),
    ended_at: record.endedAt === undefined ? undefined : new Date(record.endedAt).toISOString(),
    code: record.code,
    failure: record.failure,
  };
}
