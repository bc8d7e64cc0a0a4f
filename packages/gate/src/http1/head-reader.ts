import { type HeadText, parseFieldLine } from "./field-line.ts";
import { HeadLines, type LineSink } from "./head-lines.ts";
import { type Field, type FramingRefusal, HEAD_LIMITS, type HeadResult } from "./messages.ts";

const LIMIT = { maxBytes: HEAD_LIMITS.maxHeadBytes, tooLarge: "head too large" };
const MORE = { kind: "more" } as const;

/** The two sorts of head, told apart by their first line. */
export interface HeadSort<S extends object> {
  parseStartLine(line: string): S | FramingRefusal;
  /** When the head ends before it began. */
  readonly withoutStartLine: FramingRefusal;
}

/** Reads heads from a stream of bytes, one after the other. After a refusal it reads nothing until `reset`. */
export class HeadReader<S extends object> implements LineSink {
  readonly #sort: HeadSort<S>;
  readonly #lines = new HeadLines(LIMIT);
  #start: S | undefined;
  #fields: Field[] = [];
  #refusal: { readonly kind: "refused"; readonly why: FramingRefusal } | undefined;

  constructor(sort: HeadSort<S>) {
    this.#sort = sort;
  }

  get isEmpty(): boolean {
    return this.#lines.isEmpty;
  }

  get heldBytes(): number {
    return this.#lines.heldBytes;
  }

  /** `build` judges the head as a whole when its end is reached. */
  push<H extends object>(
    chunk: Buffer,
    build: (start: S, fields: readonly Field[]) => H | FramingRefusal,
  ): HeadResult<H> {
    if (this.#refusal !== undefined) return this.#refusal;
    const step = this.#lines.push(chunk, this);
    if (step.kind === "more") return MORE;
    if (step.kind === "refused") return this.#refuse(step.why);
    if (this.#start === undefined) return this.#refuse(this.#sort.withoutStartLine);
    const head = build(this.#start, this.#fields);
    if (typeof head === "string") return this.#refuse(head);
    this.reset();
    return { kind: "head", head, rest: chunk.subarray(step.next) };
  }

  reset(): void {
    this.#lines.reset();
    this.#start = undefined;
    this.#fields = [];
    this.#refusal = undefined;
  }

  takeLine(head: HeadText, from: number, end: number): FramingRefusal | undefined {
    if (this.#start === undefined) {
      const start = this.#sort.parseStartLine(head.text.slice(from, end));
      if (typeof start === "string") return start;
      this.#start = start;
      return undefined;
    }
    if (this.#fields.length === HEAD_LIMITS.maxFields) return "too many fields";
    const field = parseFieldLine(head, from, end);
    if (typeof field === "string") return field;
    this.#fields.push(field);
    return undefined;
  }

  #refuse(why: FramingRefusal): { readonly kind: "refused"; readonly why: FramingRefusal } {
    this.#refusal = { kind: "refused", why };
    return this.#refusal;
  }
}
