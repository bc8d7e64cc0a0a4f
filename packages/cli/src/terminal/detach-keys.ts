import { Problem } from "@gatehouse/core";

const CONTROL = /^ctrl-([a-z@[\\\]^_])$/;
const MAX_KEYS = 8;

/** Keys that leave a run's terminal when they are typed one after the other, as `ctrl-p,ctrl-q`. */
export class DetachKeys {
  readonly #keys: Uint8Array;
  #matched = 0;

  private constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  /** Characters and `ctrl-` with one, by comma; empty: none. Fails with `usage.invalid`. */
  static parse(written: string): DetachKeys {
    const names = written === "" ? [] : written.split(",");
    const keys = names.flatMap((name) => codeOf(name) ?? []);
    if (keys.length === names.length && keys.length <= MAX_KEYS) return new DetachKeys(Uint8Array.from(keys));
    throw new Problem("usage.invalid", {
      detail: "--detach-keys takes characters and ctrl- with a letter or one of @[\\]^_, by comma: ctrl-p,ctrl-q.",
    });
  }

  /** What goes on to the run: what may yet become the keys is held back. `undefined`: they were typed. */
  pass(typed: Uint8Array): Uint8Array | undefined {
    const passed: number[] = [];
    for (const key of typed) {
      if (key === this.#keys[this.#matched]) {
        this.#matched += 1;
        if (this.#matched === this.#keys.length) return undefined;
      } else passed.push(...this.#release(key));
    }
    return Uint8Array.from(passed);
  }

  /** The keys that were held back in vain, and this one, which may begin them anew. */
  #release(key: number): readonly number[] {
    const held = [...this.#keys.subarray(0, this.#matched), key];
    for (let begin = 1; begin <= held.length; begin += 1) {
      const rest = held.slice(begin);
      if (rest.every((one, at) => one === this.#keys[at])) {
        this.#matched = rest.length;
        return held.slice(0, begin);
      }
    }
    return held;
  }
}

function codeOf(name: string): number | undefined {
  const [, letter] = CONTROL.exec(name) ?? [];
  if (letter !== undefined) return letter.toUpperCase().charCodeAt(0) & 0x1f;
  return /^[!-~]$/.test(name) ? name.charCodeAt(0) : undefined;
}
