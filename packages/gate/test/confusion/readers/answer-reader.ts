import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readResponseWithNode } from "../../http1/node-reading.ts";

export const CURL_PROGRAM = "/usr/bin/curl";

/** What came to a client, and to what kind of request. */
export interface Answered {
  readonly method: string;
  readonly bytes: Buffer;
}

/** An answer as a client saw it; `status` is 0 where it saw none. */
export interface SeenAnswer {
  readonly status: number;
  readonly body: string;
  readonly isWhole: boolean;
}

export function readAnswersWithNode(answers: readonly Answered[]): Promise<readonly SeenAnswer[]> {
  return Promise.all(
    answers.map(async ({ method, bytes }) => {
      const { messages } = await readResponseWithNode(bytes, method);
      const { line = "", body = "", isWhole = false } = messages[0] ?? {};
      return { status: Number(line.split(" ")[1] ?? 0), body, isWhole };
    }),
  );
}

/** curl, one process an answer. */
export async function readAnswersWithCurl(answers: readonly Answered[]): Promise<readonly SeenAnswer[]> {
  const directory = await mkdtemp(join(tmpdir(), "gatehouse-curl-"));
  const path = join(directory, "replay.sock");
  let bytes = Buffer.alloc(0);
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => socket.end(bytes));
  }).listen(path);
  await once(server, "listening");
  const seen: SeenAnswer[] = [];
  for (const answer of answers) {
    bytes = Buffer.from(answer.bytes);
    seen.push(await askCurl(path, answer.method));
  }
  server.close();
  await rm(directory, { recursive: true });
  return seen;
}

/** Anything but HEAD is asked as GET: to a reader of answers they are one. */
function askCurl(path: string, method: string): Promise<SeenAnswer> {
  const mark = "\n--status:";
  const args = ["-q", "-s", "--unix-socket", path, "-w", `${mark}%{http_code}`, "http://api.test/"];
  const options = { encoding: "latin1", env: {} } as const;
  return new Promise((resolve) => {
    execFile(CURL_PROGRAM, method === "HEAD" ? [...args, "-I", "-o", "/dev/null"] : args, options, (error, stdout) => {
      const at = stdout.lastIndexOf(mark);
      const status = Number(stdout.slice(at + mark.length));
      resolve({ status, body: stdout.slice(0, at), isWhole: error === null });
    });
  });
}
