import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { Answered, SeenAnswer } from "./answer-reader.ts";
import type { Reading, UpstreamReader } from "./upstream-reader.ts";

// Debian's own: another Python of the machine does not see its packages.
const PYTHON = "/usr/bin/python3";
export const H11_PACKAGE = "/usr/lib/python3/dist-packages/h11";

/** h11, under many Python servers. */
export function openH11Reader(): UpstreamReader {
  return {
    name: "h11",
    read: async (connections) => {
      const read = await runPython(
        "read_requests.py",
        connections.map((bytes) => bytes.toString("base64")),
      );
      return read as readonly Reading[];
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** h11, under many Python clients. */
export async function readAnswersWithH11(answers: readonly Answered[]): Promise<readonly SeenAnswer[]> {
  const asked = answers.map(({ method, bytes }) => ({ method, bytes: bytes.toString("base64") }));
  return (await runPython("read_answers.py", asked)) as readonly SeenAnswer[];
}

async function runPython(program: string, input: unknown): Promise<unknown> {
  const path = fileURLToPath(new URL(program, import.meta.url));
  const child = spawn(PYTHON, [path], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(JSON.stringify(input));
  return JSON.parse(await text(child.stdout));
}
