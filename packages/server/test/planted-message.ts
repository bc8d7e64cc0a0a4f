import { create, type DescField, type DescMessage, type Message } from "@bufbuild/protobuf";
import { base64url } from "@gatehouse/core";

/** What is planted into messages: `secret` into fields that are marked as such, `body` into all others where asked. */
export interface Plants {
  readonly secret: string;
  readonly body: string | undefined;
  /** Which case of each oneof is taken, modulo how many there are. */
  readonly turn: number;
}

const DEPTH = 4;

/** A message of any kind with plants wherever it holds text or bytes. */
export function plantMessage(schema: DescMessage, plants: Plants, depth = 0): Message {
  const message: Record<string, unknown> = {};
  for (const member of schema.members) {
    const field = member.kind === "oneof" ? member.fields[plants.turn % member.fields.length] : member;
    const value = field === undefined ? undefined : plantField(field, plants, depth);
    if (field === undefined || value === undefined) continue;
    if (member.kind === "oneof") message[member.localName] = { case: field.localName, value };
    else message[field.localName] = value;
  }
  return create(schema, message);
}

function plantField(field: DescField, plants: Plants, depth: number): unknown {
  if (field.fieldKind === "map") return undefined;
  const one = plantOne(field, plants, depth);
  return one === undefined || field.fieldKind !== "list" ? one : [one];
}

function plantOne(field: DescField, plants: Plants, depth: number): unknown {
  if (field.message !== undefined) return depth < DEPTH ? plantMessage(field.message, plants, depth + 1) : undefined;
  const isMarked = field.proto.options?.debugRedact === true;
  const plant = isMarked ? shaped(field.name, plants.secret) : plants.body;
  if (plant === undefined) return undefined;
  const { fieldKind } = field;
  const scalar = fieldKind === "scalar" || fieldKind === "list" ? field.scalar : undefined;
  if (scalar === STRING) return plant;
  return scalar === BYTES ? new TextEncoder().encode(plant.padEnd(32, ".")).slice(0, 32) : undefined;
}

/** Types of google.protobuf.FieldDescriptorProto. */
const STRING = 9;
const BYTES = 12;

/** As such a secret looks, so that it comes past the checks of its form. */
function shaped(name: string, secret: string): string {
  const part = `${secret}${"A".repeat(43)}`.slice(0, 43);
  const pin = "A".repeat(22);
  if (name === "enrollment_token" || name === "code") return `ghe_${part}.${pin}`;
  if (name === "setup_code") return `ghs_${part}.${pin}`;
  if (name === "api_key") return `ghn_00112233_${part}`;
  if (name === "proof") return `${base64url(new TextEncoder().encode(`{"jti":"${secret}"}`))}.${secret}.${secret}`;
  return secret;
}
