import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startProgram } from "../process.ts";

/** What so many idle streams over TLS cost a bare `node:http2` server, and what opening one takes of its CPU. */
export async function measureBare(count: number): Promise<{ readonly bytesEach: number; readonly cpuMsEach: number }> {
  const directory = mkdtempSync(join(tmpdir(), "gatehouse-bench-"));
  const [certificate, key] = [join(directory, "c.pem"), join(directory, "k.pem")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  try {
    const own = ["-subj", "/CN=bench", "-keyout", key, "-out", certificate];
    execFileSync("openssl", ["req", "-x509", ...curve, ...own], { stdio: "ignore" });
    await using server = await startProgram(new URL("bare-server.ts", import.meta.url), [certificate, key]);
    await using clients = await startProgram(new URL("bare-clients.ts", import.meta.url), [String(server.ready.port)]);
    const [bytes, cpu] = [server.residentBytes(), server.cpuSeconds()];
    const done = once(clients.child, "message");
    clients.child.send(count);
    await done;
    return {
      bytesEach: (server.residentBytes() - bytes) / count,
      cpuMsEach: ((server.cpuSeconds() - cpu) / count) * 1e3,
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
