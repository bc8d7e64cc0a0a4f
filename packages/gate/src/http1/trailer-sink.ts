import { type HeadText, parseFieldLine } from "./field-line.ts";
import type { LineSink } from "./head-lines.ts";
import { type Field, type FramingRefusal, HEAD_LIMITS } from "./messages.ts";

// Fields that would change framing, routing, rights or meaning after the head was judged (RFC 9110 §6.5.1). `_` counts
// as `-`, as it does to servers behind CGI-like interfaces.
const FORBIDDEN =
  /^(?:transfer-encoding|content-(?:length|encoding|type|range)|host|trailer|te|connection|keep-alive|upgrade|expect|range|max-forwards|proxy-.*|.*authorization|authentication|authentication-info|www-authenticate|cookie2?|set-cookie2?|.*api-?key|.*-token|forwarded|x-forwarded-.*|x-http-method.*|x-method-override|x-(?:original|rewrite)-url|location|alt-svc|age|cache-control|expires|date|retry-after|vary|warning|if-.*|pragma)$/;

/** Takes the trailer fields of a chunked body. */
export class TrailerSink implements LineSink {
  readonly #fields: Field[] = [];

  get fields(): readonly Field[] {
    return this.#fields;
  }

  takeLine(head: HeadText, from: number, end: number): FramingRefusal | undefined {
    if (this.#fields.length === HEAD_LIMITS.maxFields) return "too many fields";
    const field = parseFieldLine(head, from, end);
    if (typeof field === "string") return field;
    if (FORBIDDEN.test(field.lowerName.replaceAll("_", "-"))) return "forbidden trailer";
    this.#fields.push(field);
    return undefined;
  }
}
