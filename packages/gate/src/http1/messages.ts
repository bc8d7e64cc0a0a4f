/** One header field as received: the name's spelling is kept, comparisons use `lowerName`. Values are latin1 text. */
export interface Field {
  readonly name: string;
  readonly lowerName: string;
  readonly value: string;
}

/** How the end of a message's body is found (RFC 9112 §6). `close` exists for responses alone. */
export type BodyFraming =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "close" };

/** A request head that has exactly one reading. */
export interface RequestHead {
  readonly method: string;
  /** As sent: origin-form, absolute-form, authority-form (CONNECT) or `*` (OPTIONS). */
  readonly target: string;
  readonly minorVersion: 0 | 1;
  readonly fields: readonly Field[];
  readonly framing: BodyFraming;
  /** The connection may carry another request after this one. */
  readonly isPersistent: boolean;
  readonly expectsContinue: boolean;
  /** Lower-case protocol of a valid Upgrade (with `Connection: upgrade`), else undefined. */
  readonly upgrade: string | undefined;
}

/** A response head that has exactly one reading for the request it answers. */
export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly minorVersion: 0 | 1;
  readonly fields: readonly Field[];
  readonly framing: BodyFraming;
  readonly isPersistent: boolean;
}

/** Bounds on what is read before anything is believed. Over them: refused and closed. */
export const HEAD_LIMITS = {
  maxHeadBytes: 65_536,
  maxFields: 200,
  maxTargetBytes: 32_768,
  maxChunkExtensionBytes: 1_024,
  maxTrailerBytes: 8_192,
} as const;

/**
 * Why a message was refused: a short stable phrase for logs, records and tests. It is never text of the peer.
 */
export type FramingRefusal = string;

/**
 * Collects bytes until a head is complete. `push` may get any split of the stream. Bytes after the head stay in
 * `rest`; the reader is used again for the next message after `reset`.
 */
export type HeadResult<H> =
  | { readonly kind: "more" }
  | { readonly kind: "head"; readonly head: H; readonly rest: Buffer }
  | { readonly kind: "refused"; readonly why: FramingRefusal };

/** What one push into a body reader gave. `data` are slices of the input (no copies), to be forwarded as they come. */
export interface BodyStep {
  /** Body bytes without framing. */
  readonly data: readonly Buffer[];
  readonly state: "more" | "end" | "refused";
  /** After `end`: bytes that belong to the next message. */
  readonly rest: Buffer | undefined;
  /** After `end` of a chunked body: its trailer fields. */
  readonly trailers: readonly Field[];
  readonly why: FramingRefusal | undefined;
}
