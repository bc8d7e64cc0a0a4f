import { type RandomNumber, seededRandom } from "@gatehouse/testbed";
import { Problem } from "../../packages/core/src/index.ts";

/** A parser, inputs for it, and what must hold of it whatever the input. */
export interface FuzzTarget {
  /** Inputs worth keeping: where new ones come from, and every one that once broke something. Tried first. */
  readonly corpus: readonly Buffer[];
  readonly generate: (random: RandomNumber) => Buffer;
  /** Throws where something does not hold. Whatever a parser throws that is no Problem is thrown on. */
  readonly check: (input: Buffer, random: RandomNumber) => void | Promise<void>;
}

/** An input that breaks what must hold. */
export interface Finding {
  /** As latin1 in JSON: it can be pasted into a corpus. */
  readonly input: string;
  readonly run: number;
  readonly why: string;
}

export interface FuzzOptions {
  readonly seed: number;
  readonly runs: number;
  readonly deadlineMs: number;
}

/** A parser's work must be bounded by its input: generated ones are small. */
const MAX_CHECK_MS = 1_000;

/** Tries the corpus, then generated inputs, and stops at the first finding. The same seed tries the same inputs. */
export async function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<Finding | undefined> {
  const random = seededRandom(options.seed);
  const { corpus } = target;
  const endMs = performance.now() + options.deadlineMs;
  for (let run = 0; run < corpus.length + options.runs; run += 1) {
    const input = corpus[run] ?? target.generate(random);
    const why = await tryOne(target, input, random);
    if (why !== undefined) return { input: JSON.stringify(input.toString("latin1")), run, why };
    if (performance.now() > endMs) return undefined;
  }
  return undefined;
}

async function tryOne(target: FuzzTarget, input: Buffer, random: RandomNumber): Promise<string | undefined> {
  const startMs = performance.now();
  try {
    const checked = target.check(input, random);
    if (checked !== undefined) await checked;
  } catch (failure) {
    return failure instanceof Error ? `${failure.name}: ${failure.message}` : String(failure);
  }
  const tookMs = performance.now() - startMs;
  return tookMs > MAX_CHECK_MS ? `it took ${Math.round(tookMs)} ms` : undefined;
}

/** What a parser makes of an input; `undefined` when it refuses. Anything that it throws but a Problem is a finding. */
export function unlessRefused<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (failure) {
    if (failure instanceof Problem && failure.code !== "internal") return undefined;
    throw failure;
  }
}
