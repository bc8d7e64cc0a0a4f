import { requestUnix } from "@gatehouse/kit";
import * as z from "zod";

const healthSchema = z.object({ pid: z.number().int().positive(), proxy_port: z.number().int(), commit: z.string() });

/** Who answers at a daemon's socket. */
export type DaemonHealth = Readonly<z.infer<typeof healthSchema>>;

const ASK_TIMEOUT_MS = 2_000;

/** `undefined` when nobody answers, or something that is no daemon. */
export async function askHealth(socketPath: string): Promise<DaemonHealth | undefined> {
  try {
    const { status, body } = await requestUnix({ socketPath, path: "/v1/health", timeoutMs: ASK_TIMEOUT_MS });
    return status === 200 ? healthSchema.parse(body) : undefined;
  } catch {
    return undefined;
  }
}
