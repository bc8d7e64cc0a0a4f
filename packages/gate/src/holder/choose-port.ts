import { createServer } from "node:net";
import { Problem } from "@gatehouse/core";

/** Workers of a key-holder that was killed hold the port for up to a second after it. */
const WAIT_MS = 2_000;
const RETRY_MS = 50;

/**
 * The port for the shared listener: the configured one, which must be free; else the one it had before, so that
 * registered clients find it; else 0, any. Workers share their port, so whether a stranger has it is asked here, alone.
 * Fails with `config.port_busy`.
 */
export async function choosePort(configured: number, before: number): Promise<number> {
  const port = configured === 0 ? before : configured;
  if (port === 0) return 0;
  const deadline = performance.now() + WAIT_MS;
  for (;;) {
    if (await isFree(port)) return port;
    if (performance.now() > deadline) break;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  if (configured === 0) return 0;
  throw new Problem("config.port_busy", { detail: `127.0.0.1:${port} (gate.port) is taken; choose another, or 0.` });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1" }, () => server.close(() => resolve(true)));
  });
}
