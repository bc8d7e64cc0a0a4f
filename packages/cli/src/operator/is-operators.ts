import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "@gatehouse/kit";

/** Whether a state directory administers an organisation on a server: then credentials are the organisation's. */
export function isOperators({ config }: { readonly config: Config }): boolean {
  return existsSync(join(config.state.dir, "operator", "server.json"));
}
