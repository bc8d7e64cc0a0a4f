import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import { Problem } from "@gatehouse/core";

/** Fails with `api.malformed`, naming the first fields that break the rules written beside them in the protos. */
export type CheckMessage = <Schema extends DescMessage>(schema: Schema, message: MessageShape<Schema>) => void;

const MAX_NAMED = 3;

/** Compiles the rules of a schema when they are first met (about 0.1 s in all; `warmUp` does it ahead). */
export function createMessageCheck(): CheckMessage {
  const validator = createValidator();
  return (schema, message) => {
    const result = validator.validate(schema, message);
    if (result.kind === "valid") return;
    if (result.kind === "error") throw new Problem("internal", { cause: result.error });
    const named = result.violations.slice(0, MAX_NAMED).map(({ field, message: why }) => `${pathOf(field)} ${why}`);
    throw new Problem("api.malformed", { detail: `${named.join("; ")}.` });
  };
}

function pathOf(field: readonly { readonly kind: string }[]): string {
  return field
    .map((part) => ("name" in part ? String(part.name) : ""))
    .filter((name) => name !== "")
    .join(".");
}
