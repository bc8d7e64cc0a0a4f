import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Problem } from "@gatehouse/core";
import type { ApiAnswer } from "./route.ts";

/** Sends an answer whole; with `lines`, each as it comes, no faster than the caller reads. */
export async function sendAnswer(response: ServerResponse, answer: ApiAnswer, signal: AbortSignal): Promise<void> {
  if ("lines" in answer) {
    await sendLines(response, answer, signal);
    return;
  }
  if (answer.body === undefined) {
    response.writeHead(answer.status, answer.status === 204 ? {} : { "content-length": 0 }).end();
    return;
  }
  const data = Buffer.from(`${JSON.stringify(answer.body)}\n`);
  response.writeHead(answer.status, { "content-type": "application/json", "content-length": data.length }).end(data);
}

/** Sends `{error, code}`. The detail is part of the sentence; causes stay here. */
export function sendProblem(response: ServerResponse, problem: Problem): void {
  if (response.headersSent) {
    // Too late to say why: an answer that is cut off must not look complete.
    response.destroy();
    return;
  }
  const data = Buffer.from(`${JSON.stringify({ error: problem.message, code: problem.code })}\n`);
  response.writeHead(problem.row.http, { "content-type": "application/json", "content-length": data.length }).end(data);
}

async function sendLines(
  response: ServerResponse,
  answer: { readonly status: number; readonly lines: AsyncIterable<unknown> },
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(answer.status, { "content-type": "application/x-ndjson" });
  response.flushHeaders();
  for await (const line of answer.lines) {
    if (signal.aborted) break;
    if (!response.write(`${JSON.stringify(line)}\n`)) await once(response, "drain", { signal });
  }
  response.end();
}
