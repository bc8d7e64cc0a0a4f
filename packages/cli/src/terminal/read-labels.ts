import { Problem } from "@gatehouse/core";

/** What is to become of labels. */
export interface LabelChange {
  readonly set: Readonly<Record<string, string>>;
  readonly removed: readonly string[];
}

const KEY = /^[a-z0-9][a-z0-9._/-]{0,62}$/;
const MAX_VALUE = 63;
const MAX_SHOWN = 40;

/** `key=value` pairs. Fails with `usage.invalid`. */
export function readLabels(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(pairs.map((pair) => readPair(pair, "--label takes key=value")));
}

/** `key=value` for those that are set, `key-` for those that end. Fails with `usage.invalid`, also for one key twice. */
export function readLabelChange(words: readonly string[]): LabelChange {
  const ends = words.filter((word) => !word.includes("=") && word.endsWith("-"));
  const set = words.filter((word) => !ends.includes(word)).map((word) => readPair(word, TAKES));
  const removed = ends.map((word) => readKey(word.slice(0, -1)));
  const keys = [...set.map(([key]) => key), ...removed];
  const twice = keys.find((key, at) => keys.indexOf(key) !== at);
  if (twice !== undefined) throw new Problem("usage.invalid", { detail: `The label ${twice} is named twice.` });
  return { set: Object.fromEntries(set), removed };
}

const TAKES = "A label is set as key=value, and taken away as key-";

function readPair(pair: string, takes: string): readonly [key: string, value: string] {
  const at = pair.indexOf("=");
  if (at < 1) throw new Problem("usage.invalid", { detail: `${takes}, not ${pair.slice(0, MAX_SHOWN)}.` });
  const value = pair.slice(at + 1);
  if (value.length > MAX_VALUE) {
    throw new Problem("usage.invalid", { detail: `A label's value has at most ${MAX_VALUE} characters.` });
  }
  return [readKey(pair.slice(0, at)), value];
}

function readKey(key: string): string {
  if (KEY.test(key)) return key;
  const wanted = "1 to 63 of a-z, 0-9, '.', '_', '/' and '-', first a letter or digit";
  throw new Problem("usage.invalid", { detail: `A label's key is ${wanted}, not ${key.slice(0, MAX_SHOWN)}.` });
}

/** As they are given, or what stands for none. */
export function sayLabels(labels: Readonly<Record<string, string>>, none: string): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? none : pairs.join(", ");
}
