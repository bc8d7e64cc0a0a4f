import { Problem, type ProblemCode } from "@gatehouse/core";

/** All of standard input as text. Fails with the code when it is longer than so many bytes. */
export async function readStandardInput(maxBytes: number, tooLong: ProblemCode): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    bytes += (chunk as Buffer).length;
    if (bytes > maxBytes) throw new Problem(tooLong, { detail: "It is too long." });
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}
