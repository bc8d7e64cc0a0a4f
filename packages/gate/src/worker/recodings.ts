import type { Clock } from "@gatehouse/core";
import { FairShares } from "./fair-shares.ts";
import { FairTurns } from "./fair-turns.ts";

/** What the search of one encoded body may take of its worker. Disposing gives the memory back. */
export interface RecodingSlot extends Disposable {
  /** Holds so many bytes from now on: the windows of a decoder and an encoder. `false`: there are none left. */
  resize(bytes: number): boolean;
  /** Calls `act` when it is the turn of the body's run. */
  takeTurn(act: () => void): void;
}

/** Memory and time that a worker spends on encoded bodies, shared by the runs that they go to. */
export class Recodings {
  readonly #bytes: FairShares;
  readonly #turns: FairTurns;

  constructor(maxBytes: number, clock: Pick<Clock, "monotonicMs">) {
    this.#bytes = new FairShares(maxBytes);
    this.#turns = new FairTurns(clock);
  }

  /** A slot for a body of the run's, of no bytes yet. */
  open(runId: string): RecodingSlot {
    const share = this.#bytes.open(runId);
    return {
      resize: (bytes) => share.resize(bytes),
      takeTurn: (act) => this.#turns.ask(runId, act),
      [Symbol.dispose]: () => share[Symbol.dispose](),
    };
  }
}
