import type { DaemonLock } from "@gatehouse/kit";
import type { Routes } from "../routes/routes.ts";
import type { Uplink } from "../uplink/uplink.ts";

export interface SuccessionDeps {
  readonly lock: DaemonLock;
  readonly routes: () => Routes | undefined;
  readonly uplink: () => Uplink | undefined;
  readonly requestShutdown: () => void;
}

/** The daemon's own part of a hand-over: its hold on the state directory, and the routes' port. */
export class Succession {
  readonly #deps: SuccessionDeps;
  #hasLetGo = false;

  constructor(deps: SuccessionDeps) {
    this.#deps = deps;
  }

  /** Nothing is changed any more: the state is the successor's. */
  get hasLetGo(): boolean {
    return this.#hasLetGo;
  }

  async letGo(): Promise<null> {
    this.#hasLetGo = true;
    await this.#deps.uplink()?.[Symbol.asyncDispose]();
    await this.#deps.routes()?.pause();
    this.#deps.lock.release();
    return null;
  }

  async takeBack(): Promise<null> {
    await this.#deps.lock.retake();
    this.#hasLetGo = false;
    await this.#deps.routes()?.resume();
    return null;
  }

  /** A gate that were started again would take the successor's place. */
  gateGone(): void {
    if (this.#hasLetGo) this.#deps.requestShutdown();
  }
}
