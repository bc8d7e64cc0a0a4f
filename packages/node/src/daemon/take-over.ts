import type { Predecessor } from "@gatehouse/gate";
import { requestUnixOk } from "@gatehouse/kit";
import { z } from "zod";

const answerSchema = z.object({
  pid: z.number().int().positive(),
  control: z.string(),
  proxy_port: z.number().int(),
  listeners: z.array(z.array(z.string())),
  ends_when_empty: z.boolean(),
});

export interface TakenOver {
  readonly predecessor: Predecessor;
  /** It would have ended when it had no runs. */
  readonly endsWhenEmpty: boolean;
}

const HAND_OVER_TIMEOUT_MS = 20_000;

/** Asks the daemon that runs to hand over; when this returns it has let go of the state directory. */
export async function takeOver(socketPath: string): Promise<TakenOver> {
  const call = { socketPath, method: "POST", path: "/v1/handover", timeoutMs: HAND_OVER_TIMEOUT_MS };
  const { pid, control, proxy_port, listeners, ends_when_empty } = answerSchema.parse(await requestUnixOk(call));
  return { predecessor: { pid, control, proxyPort: proxy_port, listeners }, endsWhenEmpty: ends_when_empty };
}
