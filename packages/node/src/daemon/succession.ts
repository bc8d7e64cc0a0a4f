import type { DaemonLock } from "@gatehouse/kit";
import type { Routes } from "../routes/routes.ts";
import type { Uplink } from "../uplink/uplink.ts";

export interface SuccessionDeps {
  readonly lock: DaemonLock;
  readonly routes: () => Routes | undefined;
  readonly requestShutdown: () => void;
}

/** The daemon's own part of a hand-over: its hold on the state directory, its way to the server, and the routes' port. */
export class Succession {
  readonly #deps: SuccessionDeps;
  #openUplink: (() => Promise<Uplink>) | undefined;
  #uplink: Uplink | undefined;
  #hasLetGo = false;

  constructor(deps: SuccessionDeps) {
    this.#deps = deps;
  }

  /** Nothing is changed any more: the state is the successor's. */
  get hasLetGo(): boolean {
    return this.#hasLetGo;
  }

  /** `undefined` while it is the successor's, and where this host belongs to no server. */
  get uplink(): Uplink | undefined {
    return this.#uplink;
  }

  /** Opens the way to the server, now and when a successor did not come. */
  async join(openUplink: () => Promise<Uplink>): Promise<void> {
    this.#openUplink = openUplink;
    if (!this.#hasLetGo) this.#uplink = await openUplink();
  }

  async letGo(): Promise<null> {
    this.#hasLetGo = true;
    await this.#uplink?.[Symbol.asyncDispose]();
    this.#uplink = undefined;
    await this.#deps.routes()?.pause();
    this.#deps.lock.release();
    return null;
  }

  async takeBack(): Promise<null> {
    await this.#deps.lock.retake();
    this.#hasLetGo = false;
    this.#uplink = await this.#openUplink?.();
    await this.#deps.routes()?.resume();
    return null;
  }

  /** A gate that were started again would take the successor's place. */
  gateGone(): void {
    if (this.#hasLetGo) this.#deps.requestShutdown();
  }
}
