import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { runProcess } from "../system/run-process.ts";

/** Contents by relative path. */
export type PackedFiles = Readonly<Record<string, string>>;

/** A gzipped tar of these files. */
export function packTar(files: PackedFiles): Promise<Buffer> {
  return pack(files, (names) => ["tar", "-czf", "packed", ...names]);
}

/** A zip of these files. */
export function packZip(files: PackedFiles): Promise<Buffer> {
  return pack(files, (names) => ["python3", "-m", "zipfile", "-c", "packed", ...names]);
}

async function pack(files: PackedFiles, command: (names: readonly string[]) => readonly string[]): Promise<Buffer> {
  const root = await mkdtemp(join(tmpdir(), "fake-package-"));
  try {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(root, name)), { recursive: true });
      await writeFile(join(root, name), content);
    }
    const names = [...new Set(Object.keys(files).map((name) => name.split("/")[0] ?? name))];
    const [program = "", ...args] = command(names);
    const { code, stderr } = await runProcess(program, args, { cwd: root });
    if (code !== 0) throw new Error(`${program}: ${stderr}`);
    return await readFile(join(root, "packed"));
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Answers with a packed file, its length stated. */
export function sendBytes(response: ServerResponse, bytes: Buffer): void {
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": bytes.length });
  response.end(bytes);
}
