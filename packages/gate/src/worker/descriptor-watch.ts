import { closeSync, openSync } from "node:fs";
import { errorCode } from "@gatehouse/kit";

const TELL_EVERY_MS = 60_000;
/** Of the process, and of the whole system. */
const NONE_FREE = ["EMFILE", "ENFILE"];

interface DescriptorWatchDeps {
  readonly isDescriptorFree: () => boolean;
  readonly onNoneFree: () => void;
}

/** The runtime closes a connection for which no descriptor is free and tells nobody: this tells, at most once a minute. */
export class DescriptorWatch {
  readonly #deps: DescriptorWatchDeps;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(deps: DescriptorWatchDeps) {
    this.#deps = deps;
  }

  sweep(nowMs: number): void {
    if (nowMs - this.#toldMs < TELL_EVERY_MS || this.#deps.isDescriptorFree()) return;
    this.#toldMs = nowMs;
    this.#deps.onNoneFree();
  }
}

/** Tries: without a descriptor, what is open could not be counted either. */
export function isDescriptorFree(): boolean {
  try {
    closeSync(openSync("/dev/null", "r"));
    return true;
  } catch (failure) {
    return !NONE_FREE.includes(errorCode(failure));
  }
}
