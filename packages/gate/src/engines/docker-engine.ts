import { lstat } from "node:fs/promises";
import { normaliseHost, Problem } from "@gatehouse/core";
import { requestUnix, streamUnix } from "@gatehouse/kit";
import * as z from "zod";
import type { Engine, EngineContainer } from "./engine.ts";

const LIST_TIMEOUT_MS = 10_000;
const EVENTS = { type: ["container"], event: ["create", "start", "die", "destroy", "rename"] };

const networkSchema = z.object({ IPAddress: z.string().nullish(), GlobalIPv6Address: z.string().nullish() });
const containerSchema = z.object({
  Id: z.string().min(1),
  Names: z.array(z.string()).nullish(),
  State: z.string().nullish(),
  NetworkSettings: z.object({ Networks: z.record(z.string(), networkSchema.nullish()).nullish() }).nullish(),
});
const namedSchema = z.object({ Id: z.string().min(1) });

const ENDED: ReadonlySet<string> = new Set(["exited", "stopped", "stopping", "removing"]);
const LIVE: ReadonlySet<string> = new Set(["created", "configured", "initialized", "running", "paused", "restarting"]);

/** Docker Engine or Podman, over the Unix socket at which they serve the same API (Docker Engine API 1.41). */
export function dockerEngine(socketPath: string): Engine {
  return {
    name: socketPath,
    isThere: async () => {
      try {
        return (await lstat(socketPath)).isSocket();
      } catch {
        return false;
      }
    },
    listContainers: async (signal) => {
      const path = "/containers/json?all=true";
      const { status, body } = await requestUnix({ socketPath, path, signal, timeoutMs: LIST_TIMEOUT_MS });
      if (status !== 200 || !Array.isArray(body)) {
        throw new Problem("daemon.unreachable", { detail: `${socketPath} lists no containers (${status}).` });
      }
      return body.flatMap(readContainer);
    },
    events: (signal) =>
      streamUnix({ socketPath, path: `/events?filters=${encodeURIComponent(JSON.stringify(EVENTS))}`, signal }),
  };
}

/** An entry that cannot be read counts as one that its engine cannot speak for. */
function readContainer(entry: unknown): readonly EngineContainer[] {
  const parsed = containerSchema.safeParse(entry);
  if (!parsed.success) {
    const named = namedSchema.safeParse(entry);
    return named.success ? [{ id: named.data.Id, names: [], state: "failing", addresses: [] }] : [];
  }
  const { Id: id, Names: names, State: state, NetworkSettings: network } = parsed.data;
  const addresses = Object.values(network?.Networks ?? {}).flatMap((one) => [one?.IPAddress, one?.GlobalIPv6Address]);
  return [
    {
      id,
      names: (names ?? []).map((name) => name.replace(/^\//, "")),
      state: stateOf(state ?? ""),
      addresses: addresses.flatMap((address) => (address ? [normaliseHost(address) ?? address] : [])),
    },
  ];
}

function stateOf(said: string): EngineContainer["state"] {
  const state = said.toLowerCase();
  if (LIVE.has(state)) return "live";
  return ENDED.has(state) ? "ended" : "failing";
}
