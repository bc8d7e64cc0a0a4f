import { join } from "node:path";
import { type Health, openHealth, removeFile, writeFileAtomic } from "@gatehouse/kit";
import type { GateLink } from "./gate-link.ts";

/** The node's readiness: its gate has a worker that serves and can record, and its state can be written. */
export function openNodeHealth(gate: Pick<GateLink, "call">, stateDir: string): Health {
  return openHealth({
    probes: [
      {
        name: "gate",
        check: async () => {
          const { workers, recordsFailing, audit } = await gate.call("status", null);
          if (!workers.some(({ isReady }) => isReady)) throw new Error("no worker is ready");
          if (!audit.isTaking) throw new Error(`the audit log cannot be written: ${audit.reason ?? "too much waits"}`);
          if (recordsFailing) throw new Error("records cannot be written");
        },
      },
      {
        name: "state-write",
        check: async () => {
          const path = join(stateDir, "write-probe");
          await writeFileAtomic(path, "");
          await removeFile(path);
        },
      },
    ],
  });
}
