import type { RandomNumber } from "@gatehouse/testbed";

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

// What readers of JSON trip over.
const ODD: readonly Json[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  65_536,
  2 ** 53,
  "",
  " ",
  "*",
  "**",
  "\0",
  "a\r\nX: y",
  "a\nb",
  "\ud800",
  "\u212a",
  "e\u0301",
  "__proto__",
  "constructor",
  [],
  {},
  [[]],
  "x".repeat(300),
];

/** A corpus value with a few places changed: to something odd, to a word of the format, to another place's value. */
export function mutateJson(corpus: readonly unknown[], words: readonly string[], random: RandomNumber): unknown {
  const copy = () => JSON.parse(JSON.stringify(corpus[random(corpus.length)])) as Json;
  let value = copy();
  for (let changes = random(5); changes > 0; changes -= 1) value = change(value, { words, random, other: copy() });
  return value;
}

interface Source {
  readonly words: readonly string[];
  readonly random: RandomNumber;
  readonly other: Json;
}

function change(value: Json, source: Source): Json {
  const { random } = source;
  if (typeof value !== "object" || value === null || random(6) === 0) return replacement(value, source);
  const keys = Object.keys(value);
  const key = keys[random(keys.length)];
  if (key === undefined) return replacement(value, source);
  if (Array.isArray(value)) return changeList(value, Number(key), source);
  const { [key]: old = null, ...rest } = value;
  switch (random(8)) {
    case 0:
      return rest;
    case 1:
      return { ...rest, [word(source)]: old };
    case 2:
      return { ...value, [key.toUpperCase()]: old };
    default:
      return { ...value, [key]: change(old, source) };
  }
}

function changeList(list: Json[], at: number, source: Source): Json[] {
  const old = list[at] ?? null;
  switch (source.random(6)) {
    case 0:
      return list.toSpliced(at, 1);
    case 1:
      return list.toSpliced(source.random(list.length + 1), 0, old);
    default:
      return list.with(at, change(old, source));
  }
}

function replacement(value: Json, source: Source): Json {
  const { random, other } = source;
  switch (random(6)) {
    case 0:
      return ODD[random(ODD.length)] ?? null;
    case 1:
      return other;
    case 2:
      return [value];
    case 3:
      return typeof value === "string" ? splice(value, source) : word(source);
    default:
      return word(source);
  }
}

function splice(text: string, source: Source): string {
  const at = source.random(text.length + 1);
  return text.slice(0, at) + word(source) + text.slice(at + source.random(3));
}

function word({ words, random }: Source): string {
  return words[random(words.length)] ?? "";
}
