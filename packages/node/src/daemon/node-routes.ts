import { once } from "node:events";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { Problem } from "@gatehouse/core";
import { errorCode, type Route } from "@gatehouse/kit";
import { z } from "zod";
import { parseCreateRequest } from "../runs/create-request.ts";
import type { RunFiles, RunRecord } from "../runs/run-files.ts";
import type { Sandboxes } from "../runs/sandboxes.ts";

export interface NodeApi {
  readonly sandboxes: Sandboxes;
  readonly files: RunFiles;
  readonly status: () => Promise<object>;
}

const FOLLOW_EVERY_MS = 200;
const exitedSchema = z.object({ code: z.number().int().min(0).max(255) });
const signalSchema = z.object({ signal: z.string().regex(/^SIG[A-Z0-9]{2,8}$/) });

/** What `node.sock` answers: sandboxes and status. No credential value comes this way. */
export function nodeRoutes({ sandboxes, files, status }: NodeApi): readonly Route[] {
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
      handle: ({ params }) => ({ status: 200, body: describe(sandboxes.get(params.id ?? "")) }),
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
        if (!parsed.success) throw new Problem("api.malformed", { detail: "signal is missing." });
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
        const parsed = exitedSchema.safeParse(body);
        if (!parsed.success) throw new Problem("api.malformed", { detail: "code is missing." });
        await sandboxes.exited(params.id ?? "", parsed.data.code);
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
    { method: "GET", path: "/v1/status", handle: async () => ({ status: 200, body: await status() }) },
  ];
}

interface LogSending {
  readonly path: string;
  readonly response: ServerResponse;
  readonly signal: AbortSignal;
  readonly isRunning: () => boolean;
}

/** Sends what was written, then, while the run lives, what is added. */
async function sendLog({ path, response, signal, isRunning }: LogSending): Promise<void> {
  await sendFrom(`${path}.1`, 0, response);
  let offset = 0;
  while (!signal.aborted) {
    const wasRunning = isRunning();
    const { size } = await stat(path).catch(() => ({ size: 0 }));
    // A shorter file is a new one: the log was rotated.
    if (size < offset) offset = 0;
    const sent = await sendFrom(path, offset, response);
    offset += sent;
    if (sent > 0) continue;
    if (!wasRunning) break;
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_EVERY_MS));
  }
  response.end();
}

/** Sends a file from an offset to its end, no faster than the reader takes it. Returns how many bytes that were. */
async function sendFrom(path: string, start: number, response: ServerResponse): Promise<number> {
  let sent = 0;
  try {
    for await (const chunk of createReadStream(path, { start })) {
      sent += (chunk as Buffer).length;
      if (!response.write(chunk)) await Promise.race([once(response, "drain"), once(response, "close")]);
      if (response.destroyed) break;
    }
  } catch (failure) {
    if (errorCode(failure) !== "ENOENT") throw failure;
  }
  return sent;
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
  };
}
