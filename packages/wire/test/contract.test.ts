import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { CALLERS, callerRow, NodeGatewayService, SERVICES } from "../src/index.ts";

const METHODS = Object.values(SERVICES).flatMap((service) =>
  service.methods.map((method) => ({ service, method, name: `${service.typeName}/${method.name}` })),
);

/** Every field below a message, with its path. Circles are followed once. */
function fieldsBelow(message: DescMessage, path = "", seen = new Set<string>()): readonly [string, DescField][] {
  if (seen.has(message.typeName)) return [];
  const known = new Set([...seen, message.typeName]);
  return message.fields.flatMap((field) => {
    const at = `${path}${field.name}`;
    const below = field.message === undefined ? [] : fieldsBelow(field.message, `${at}.`, known);
    return [[at, field] as [string, DescField], ...below];
  });
}

test.each(METHODS)("$name has a row that says who may call", ({ service, method }) => {
  const row = callerRow(service.typeName, method.localName);
  expect(row?.modes.length).toBeGreaterThan(0);
  if (row?.auth === "operator") expect(row.permission).toMatch(/^[a-z]+:[a-z]+$/);
});

test("there is no row without its RPC", () => {
  const rows = Object.entries(CALLERS).flatMap(([service, methods]) =>
    Object.keys(methods).map((method) => `${service}/${method}`),
  );
  const there = METHODS.map(({ service, method }) => `${service.typeName}/${method.localName}`);
  expect(rows.toSorted()).toEqual(there.toSorted());
});

test("an RPC that is not there has no row, whatever it is called", () => {
  expect(callerRow("gatehouse.gateway.v1.NodeGatewayService", "constructor")).toBeUndefined();
  expect(callerRow("__proto__", "register")).toBeUndefined();
  expect(callerRow("gatehouse.gateway.v1.Other", "register")).toBeUndefined();
});

test("no request of a node names a node or an organisation: both are known from the channel", () => {
  const named = NodeGatewayService.methods.flatMap((method) =>
    fieldsBelow(method.input)
      .map(([path]) => path)
      .filter((path) => /(^|[._])(node|org|organisation|tenant)(_?id|_?name)?s?$/.test(path)),
  );
  expect(named).toEqual([]);
});

test("an RPC whose messages hold a secret is not logged in clear", () => {
  // Whether there is one is no secret.
  const secret = /(api_key|token|setup_code|^code|\.code|proof|sealed|password)$/;
  const open = METHODS.flatMap(({ service, method, name }) => {
    const row = callerRow(service.typeName, method.localName);
    if (row?.log === "suppress") return [];
    return [...fieldsBelow(method.input), ...fieldsBelow(method.output)]
      .filter(
        ([path, field]) =>
          field.scalar !== ScalarType.BOOL && secret.test(path) && field.proto.options?.debugRedact !== true,
      )
      .filter(([path]) => !/page_token$/.test(path))
      .map(([path]) => `${name}: ${path}`);
  });
  expect(open).toEqual([]);
});

test("streams carry no message into a log", () => {
  const shown = METHODS.filter(({ method }) => method.methodKind === "bidi_streaming").filter(
    ({ service, method }) => callerRow(service.typeName, method.localName)?.log !== "suppress",
  );
  expect(shown.map(({ name }) => name)).toEqual([]);
});

test("every field of a node's request is bounded", () => {
  const unbounded = NodeGatewayService.methods.flatMap((method) =>
    fieldsBelow(method.input)
      .filter(([, field]) => ["string", "bytes"].includes(kindOf(field)) || field.fieldKind === "list")
      .filter(([, field]) => !hasRules(field))
      .map(([path]) => `${method.name}: ${path}`),
  );
  expect(unbounded).toEqual([]);
});

function kindOf(field: DescField): string {
  if (field.scalar === 9) return "string";
  return field.scalar === 12 ? "bytes" : "other";
}

function hasRules(field: DescField): boolean {
  return (field.proto.options?.$unknown?.length ?? 0) > 0;
}
