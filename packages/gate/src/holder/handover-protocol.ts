import { z } from "zod";

/**
 * How a daemon hands over to the next version while its connections live on.
 *
 * The successor asks, the predecessor answers: first at `daemon.sock`, then at a socket of the predecessor's key-holder
 * that the first answer names. Each answer says that what was asked holds. Whichever side goes, the other goes on alone.
 *
 * | the successor asks  | predecessor becomes | what holds then                                                       |
 * | ------------------- | ------------------- | --------------------------------------------------------------------- |
 * | `POST /v1/handover` | `frozen`            | no change is taken, the state directory is free; calls wait            |
 * | `GET /follow`       |                     | a stream: its end is the successor's end                               |
 * | `POST /log`         |                     | the audit log is closed; entries come over the stream                  |
 * | `POST /ack`         |                     | a group of entries is durable, the next one may come                   |
 * | `POST /drop`        |                     | a run's tunnels are cut                                                |
 * | `POST /audit`       |                     | requests are refused, or served again                                  |
 * | `POST /freshness`   |                     | the organisation's credentials are used until then                     |
 * | `POST /drain`       | `given`             | nothing is accepted any more, calls are passed on, tunnels live on     |
 *
 * When the stream ends, the predecessor writes the log again, and in it what the successor did not. Before `/drain` it
 * serves again; after it, its tunnels have nobody whose word they could stand under, and it ends. When the predecessor
 * goes, the successor goes on with what it was given.
 */
export type HandoverState = "serving" | "frozen" | "given" | "ended";

/** What the successor may ask at the key-holder's socket, beside the stream. */
export const SUCCESSOR_CALLS = {
  log: z.object({}),
  ack: z.object({ group: z.number().int(), entries: z.number().int() }),
  drop: z.object({ run_id: z.string() }),
  audit: z.object({ is_taken: z.boolean() }),
  freshness: z.object({ until_seconds: z.number() }),
  drain: z.object({}),
} as const;

export type SuccessorCalls = { readonly [C in keyof typeof SUCCESSOR_CALLS]: z.infer<(typeof SUCCESSOR_CALLS)[C]> };

/** In which states a call is followed; in any other it is refused with `daemon.handing_over`. */
export const FOLLOWED_IN: { readonly [C in keyof SuccessorCalls]: readonly HandoverState[] } = {
  log: ["frozen"],
  ack: ["frozen", "given"],
  drop: ["frozen", "given"],
  audit: ["frozen", "given"],
  freshness: ["frozen", "given"],
  drain: ["frozen"],
};

/** A line of the stream: that it is there, a group of audit entries, or records as its workers wrote them (base64). */
export const toldSchema = z.union([
  z.object({ following: z.literal(true) }),
  z.object({ group: z.number().int(), lines: z.string() }),
  z.object({ records: z.string() }),
]);

export type Told = z.infer<typeof toldSchema>;
