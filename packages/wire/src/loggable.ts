import {
  type DescField,
  type DescMessage,
  type JsonObject,
  type JsonValue,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import type { LogClass } from "./callers.ts";

const PRINTED = "[redacted]";

/**
 * What a log line may show of a message under its RPC's log class: its JSON form without the fields that are marked
 * `debug_redact`, at any depth; or nothing (`undefined`). A row that says `plain` shows no marked field either.
 */
export function loggable(schema: DescMessage, message: Message, log: LogClass): JsonObject | undefined {
  if (log === "suppress") return undefined;
  return redact(schema, toJson(schema, message));
}

function redact(schema: DescMessage, json: JsonValue): JsonObject {
  const shown: JsonObject = {};
  for (const field of schema.fields) {
    const value = isObject(json) ? json[field.jsonName] : undefined;
    if (value !== undefined) shown[field.jsonName] = isMarked(field) ? PRINTED : redactField(field, value);
  }
  return shown;
}

function redactField(field: DescField, value: JsonValue): JsonValue {
  const { message } = field;
  if (message === undefined) return value;
  if (Array.isArray(value)) return value.map((one) => redact(message, one));
  if (field.fieldKind !== "map" || !isObject(value)) return redact(message, value);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, redact(message, one)]));
}

function isMarked(field: DescField): boolean {
  return field.proto.options?.debugRedact === true;
}

function isObject(json: JsonValue): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
