import type { ChildProcess } from "node:child_process";
import { Problem } from "@gatehouse/core";
import type { DaemonCalls, GateCalls, GateConfig, GateNotes } from "@gatehouse/gate";
import { type IpcPeer, type Log, openIpcPeer, resolveEntry, Supervisor } from "@gatehouse/kit";

// biome-ignore lint/complexity/noBannedTypes: the gate is sent no notes
type NoNotes = {};
type GatePeer = IpcPeer<GateCalls, NoNotes>;

export interface GateLinkOptions {
  readonly config: GateConfig;
  readonly log: Log;
  readonly onShutdownRequested: () => void;
  /** A successor takes over: the state directory is let go, and nothing is changed any more. */
  readonly onLetGo: () => Promise<null>;
  /** The successor did not come. */
  readonly onTakeBack: () => Promise<null>;
  /** The gate ended unasked, and is started again. */
  readonly onGone: () => void;
  /** Nothing is registered any more, for so long as the configuration says. */
  readonly onEmpty: () => void;
  /** Called each time the gate is ready, with its port. */
  readonly onReady: (proxyPort: number) => Promise<void>;
}

const READY_TIMEOUT_MS = 20_000;
/** After a hand-over it waits for its workers, for the last acknowledgements and for the log: some seven seconds. */
const STOP_WITHIN_MS = 15_000;

/** The gate's key-holder as a supervised child: started, started again when it dies, asked when it is there. */
export class GateLink implements AsyncDisposable {
  readonly #options: GateLinkOptions;
  readonly #supervisor: Supervisor;
  #nodeServes = false;
  #ready = Promise.withResolvers<GatePeer>();

  constructor(options: GateLinkOptions) {
    this.#options = options;
    this.#supervisor = new Supervisor({ log: options.log });
  }

  /** Starts the gate and returns when it serves. Its first failure to open is the caller's. */
  async start(): Promise<void> {
    const firstFailure = Promise.withResolvers<never>();
    this.#supervisor.start({
      name: "gate-holder",
      entry: resolveEntry("gate-holder"),
      onStart: async (child, signal) => {
        try {
          await this.#greet(child, signal);
        } catch (failure) {
          if (failure instanceof Problem) firstFailure.reject(failure);
          throw failure;
        }
      },
    });
    await Promise.race([this.#ready.promise, firstFailure.promise]);
  }

  /** The daemon answers at its own socket; each gate is told. */
  async announceNode(): Promise<void> {
    this.#nodeServes = true;
    await this.call("nodeServes", null);
  }

  /** Asks the gate; while it restarts, waits for it. Fails with `gate.not_ready` when it is not back in time. */
  async call<M extends keyof GateCalls & string>(
    method: M,
    params: GateCalls[M]["params"],
    timeoutMs = READY_TIMEOUT_MS,
  ): Promise<GateCalls[M]["result"]> {
    const peer = await within(this.#ready.promise, timeoutMs);
    return peer.call(method, params, { timeoutMs });
  }

  async #greet(child: ChildProcess, signal: AbortSignal): Promise<void> {
    const peer: GatePeer = openIpcPeer<DaemonCalls, GateCalls, GateNotes>(
      child,
      {
        letGo: () => this.#options.onLetGo(),
        takeBack: () => this.#options.onTakeBack(),
        shutdownRequested: () => this.#options.onShutdownRequested(),
        empty: () => this.#options.onEmpty(),
      },
      { signal },
    );
    void peer.closed.then(() => {
      this.#options.onGone();
      this.#ready = Promise.withResolvers<GatePeer>();
    });
    const { proxyPort } = await peer.call("open", this.#options.config);
    await this.#options.onReady(proxyPort);
    if (this.#nodeServes) await peer.call("nodeServes", null);
    this.#ready.resolve(peer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#supervisor.shutdown(STOP_WITHIN_MS);
  }
}

async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Problem("gate.not_ready")), timeoutMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
