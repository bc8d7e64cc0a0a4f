import { type PathPattern, Problem, parseHostPattern, parsePathPattern } from "@gatehouse/core";
import type { HeaderSlot, Injection } from "../snapshot/run-snapshot.ts";

/**
 * Two values for one header of one request cannot both be right, and which one wins must not be left to order: where
 * two injections are equally specific and some request would get either, it fails with `runs.credential_conflict`.
 */
export function refuseConflicts(injections: readonly Injection[]): void {
  const byPlace = new Map<string, Injection[]>();
  for (const injection of injections) {
    const place = placeOf(injection);
    const others = byPlace.get(place) ?? [];
    for (const other of others) refuseConflict(injection, other);
    byPlace.set(place, [...others, injection]);
  }
}

/** A header that a credential owns has no room for a slot, and one placeholder stands for one value. */
export function refuseSlotConflicts(slots: readonly HeaderSlot[], injections: readonly Injection[]): void {
  const owned = new Set(injections.map(placeOf));
  const values = new Map<string, string>();
  for (const slot of slots) {
    const place = placeOf(slot);
    const named = `${place} ${slot.placeholder}`;
    if (owned.has(place) || (values.get(named) ?? slot.value) !== slot.value) {
      throw new Problem("runs.credential_conflict", { detail: `Two values fill ${slot.header} of ${slot.host}.` });
    }
    values.set(named, slot.value);
  }
}

/** Equally specific patterns that share a host are the same pattern. */
function placeOf(filled: { readonly host: string; readonly header: string }): string {
  const { kind, host, port } = parseHostPattern(filled.host);
  return JSON.stringify([kind, host, port ?? 0, filled.header]);
}

function refuseConflict(one: Injection, other: Injection): void {
  if (one.value === other.value || !shareMethod(one, other) || !sharePath(one, other)) return;
  throw new Problem("runs.credential_conflict", {
    detail: `${other.grant ?? "A credential"} and ${one.grant ?? "another"} fill ${one.header} of ${one.host}.`,
  });
}

function shareMethod({ methods }: Injection, other: Injection): boolean {
  if (methods === undefined || other.methods === undefined) return true;
  return methods.some((method) => other.methods?.includes(method));
}

function sharePath({ paths }: Injection, other: Injection): boolean {
  if (paths === undefined || other.paths === undefined) return true;
  const others = other.paths.map(segmentsOf);
  return paths.map(segmentsOf).some((path) => others.some((segments) => overlap(path, segments)));
}

type Segments = PathPattern["segments"];
type Segment = Segments[number];

/** What is no pattern is taken for every path: it was refused before, and here it must not hide a conflict. */
function segmentsOf(path: string): Segments {
  return (parsePathPattern(path) ?? parsePathPattern("**"))?.segments ?? [];
}

/** Whether some path falls under both patterns. No place is looked at twice: |one| × |other| steps. */
function overlap(one: Segments, other: Segments): boolean {
  const seen = new Set<number>();
  const meet = (i: number, j: number): boolean => {
    const key = i * (other.length + 1) + j;
    if (seen.has(key)) return false;
    seen.add(key);
    const [a, b] = [one[i], other[j]];
    if (a === undefined || b === undefined) return [...one.slice(i), ...other.slice(j)].every(isDeep);
    // Either `**` ends here, or it takes one more segment of the other side.
    if (isDeep(a) || isDeep(b)) return meet(i + 1, j) || meet(i, j + 1);
    return shareSegment(a, b) && meet(i + 1, j + 1);
  };
  return meet(0, 0);
}

function isDeep(segment: Segment): boolean {
  return typeof segment === "object" && segment.isDeep;
}

/** Literals also match themselves with `;` parameters. */
function shareSegment(a: Segment, b: Segment): boolean {
  if (typeof a !== "string" || typeof b !== "string") return true;
  return a === b || a.startsWith(`${b};`) || b.startsWith(`${a};`);
}
