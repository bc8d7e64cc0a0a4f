import { createServer } from "node:net";
import { Problem } from "@gatehouse/core";
import type { ListenAddress } from "@gatehouse/kit";

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

/** Asks the same of addresses that state their port. Fails with `config.port_busy`, an address that is not there too. */
export async function requireFree(addresses: readonly ListenAddress[]): Promise<void> {
  for (const { host, port = 0 } of addresses) {
    const deadline = performance.now() + WAIT_MS;
    while (!(await isFree(port, host))) {
      if (performance.now() > deadline) {
        const detail = `${host}:${port} (gate.listen) cannot be listened at: it is taken, or no address of this host.`;
        throw new Problem("config.port_busy", { detail });
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

function isFree(port: number, host = "127.0.0.1"): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host }, () => server.close(() => resolve(true)));
  });
}
