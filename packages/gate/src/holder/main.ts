// The gate's key-holder: forked by the daemon. Credentials are parsed and opened here and in its workers, nowhere else.
import { Problem, systemClock, systemRandom } from "@gatehouse/core";
import { createLog, native, openIpcPeer, runMain } from "@gatehouse/kit";
import type { DaemonCalls, GateCalls, GateNotes } from "./gate-protocol.ts";
import { type Holder, openHolder } from "./open-holder.ts";

// biome-ignore lint/complexity/noBannedTypes: the daemon sends no notes
type NoNotes = {};

native.keepMemoryPrivate();
await runMain(
  async (signal) => {
    let holder: Holder | undefined;
    const { promise: ended, resolve: end } = Promise.withResolvers<unknown>();
    signal.addEventListener("abort", end, { once: true });
    const running = () => {
      if (holder === undefined) throw new Problem("gate.not_ready");
      return holder.calls;
    };
    using peer = openIpcPeer<GateCalls, DaemonCalls, NoNotes, GateNotes>(process, {
      open: async (config) => {
        holder = await openHolder(config, {
          log: createLog({ level: config.logLevel, format: config.logFormat }).child({ process: "gate-holder" }),
          clock: systemClock,
          random: systemRandom,
          daemon: { letGo: () => peer.call("letGo", null), takeBack: () => peer.call("takeBack", null) },
          restart: () => end(undefined),
          onEmpty: () => peer.notify("empty", null),
          requestShutdown: () => peer.notify("shutdownRequested", null),
        });
        return { proxyPort: holder.proxyPort };
      },
      startRun: (run) => running().startRun(run),
      serveListener: (params) => running().serveListener(params),
      endRun: (params) => running().endRun(params),
      listRuns: (params) => running().listRuns(params),
      putOnRecord: (params) => running().putOnRecord(params),
      nodeServes: (params) => running().nodeServes(params),
      applyBundle: (bundle) => running().applyBundle(bundle),
      revokeCredentials: (revocation) => running().revokeCredentials(revocation),
      resealCredential: (call) => running().resealCredential(call),
      hearFreshness: (freshness) => running().hearFreshness(freshness),
      fleetStatus: (params) => running().fleetStatus(params),
      status: (params) => running().status(params),
      totals: (params) => running().totals(params),
    });
    await ended;
    await holder?.[Symbol.asyncDispose]();
  },
  { endsWithParent: true },
);
