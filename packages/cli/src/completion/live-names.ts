import { request } from "node:http";
import { join } from "node:path";

export type NameSource = "run" | "grant" | "service";

interface Listed {
  readonly run_id?: string;
  readonly name?: string;
  readonly service?: string;
  readonly state?: string;
}

const CALLS: Readonly<
  Record<NameSource, { readonly path: string; readonly name: (one: Listed) => string | undefined }>
> = {
  run: { path: "/v1/sandboxes", name: ({ run_id }) => run_id },
  grant: { path: "/v1/grants", name: ({ name }) => name },
  service: { path: "/v1/services", name: ({ service }) => service },
};
/** Somebody waits with a finger on the key. */
const TIMEOUT_MS = 250;

/** Names that the daemon knows now. Without one, or when it is slow, none: completion never complains. */
export async function liveNames(source: NameSource, typed: readonly string[]): Promise<readonly string[]> {
  const { path, name } = CALLS[source];
  try {
    const listed = JSON.parse(await get(join(await stateDirOf(typed), "daemon.sock"), path)) as readonly Listed[];
    const ended = typed[0] === "stop" ? listed.filter(({ state }) => state !== "exited") : listed;
    return ended.flatMap((one) => name(one) ?? []);
  } catch {
    return [];
  }
}

/** The configuration is read where nothing else says it: loading what reads it takes longer than all the rest. */
async function stateDirOf(typed: readonly string[]): Promise<string> {
  const after = (name: string) => (typed.includes(name) ? typed[typed.indexOf(name) + 1] : undefined);
  const file = after("--config");
  const stated = after("--state-dir") ?? process.env.GATEHOUSE_STATE_DIR;
  if (stated !== undefined && stated !== "") return stated;
  const { loadConfig } = await import("@gatehouse/kit");
  return loadConfig({ env: process.env, ...(file === undefined ? {} : { file }) }).state.dir;
}

function get(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, timeout: TIMEOUT_MS }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("end", () => resolve(Buffer.concat(chunks).toString()));
      answer.on("error", reject);
    });
    call.on("timeout", () => call.destroy(new Error("slow")));
    call.on("error", reject);
    call.end();
  });
}
