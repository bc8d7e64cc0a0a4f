// A gate worker: forked by the key-holder, it carries the traffic. Everything it knows came over that channel.
import { Problem, systemClock } from "@gatehouse/core";
import { createLog, native, openFilesLimit, openIpcPeer, runMain } from "@gatehouse/kit";
import type { HolderCalls, HolderNotes, WorkerCalls } from "../snapshot/worker-protocol.ts";
import { systemLookUp } from "../upstream/resolve-checked.ts";
import { openWorker, type Worker } from "./open-worker.ts";

// biome-ignore lint/complexity/noBannedTypes: the key-holder sends no notes
type NoNotes = {};

native.keepMemoryPrivate();
await runMain(
  async (signal) => {
    // The key-holder takes these lines up; its log has the level and format that were asked for.
    const log = createLog({ level: "info", format: "json" });
    const limit = await openFilesLimit();
    let worker: Worker | undefined;
    const running = (method: keyof WorkerCalls) => {
      if (worker === undefined) throw new Problem("internal", { cause: new Error(`${method} before start`) });
      return worker;
    };
    using peer = openIpcPeer<WorkerCalls, HolderCalls, NoNotes, HolderNotes>(process, {
      start: async (params) => {
        worker = await openWorker(params, {
          clock: systemClock,
          mintLeaf: (request) => peer.call("mintLeaf", request),
          lookUp: systemLookUp,
          sendAudit: (lines) => peer.call("audit", lines),
          sendRecords: (lines) => peer.notify("records", lines),
          sendTotals: (totals) => void peer.notify("totals", totals),
          onAddressLost: (address, failure) => log.warn("an address cannot be listened at", { address, failure }),
          onNoDescriptorFree: (connections) => log.warn("the gate is out of file descriptors", { connections, limit }),
          onFault: (failure) => log.error("a request met a bug", { failure }),
        });
        return { port: worker.port };
      },
      putRun: (params) => running("putRun").handle("putRun", params),
      dropRun: (params) => running("dropRun").handle("dropRun", params),
      serveListener: (params) => running("serveListener").handle("serveListener", params),
      setAudit: (params) => running("setAudit").handle("setAudit", params),
      setFreshness: (params) => running("setFreshness").handle("setFreshness", params),
      offerListeners: () => running("offerListeners").offerListeners(),
      drain: (params) => running("drain").handle("drain", params),
    });
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    await worker?.[Symbol.asyncDispose]();
  },
  { endsWithParent: true },
);
