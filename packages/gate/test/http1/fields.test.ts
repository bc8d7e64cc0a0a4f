import { describe, expect, test } from "vitest";
import { connectionOptions, field, getAllFields, getField, listMembers } from "../../src/http1/fields.ts";

const FIELDS = [
  field("Host", "example.com"),
  field("Connection", "keep-alive, X-One"),
  field("Accept", "text/html"),
  field("connection", ",, x-two ,"),
  field("accept", "*/*"),
  field("Empty", ""),
];

describe("fields are found by their lower-case name", () => {
  test("a field that stands once has one value", () => {
    expect(getField(FIELDS, "host")).toBe("example.com");
    expect(getField(FIELDS, "empty")).toBe("");
  });

  test("a field that stands twice or not at all has none", () => {
    expect(getField(FIELDS, "accept")).toBeUndefined();
    expect(getField(FIELDS, "absent")).toBeUndefined();
  });

  test("all values come in their order", () => {
    expect(getAllFields(FIELDS, "accept")).toEqual(["text/html", "*/*"]);
    expect(getAllFields(FIELDS, "absent")).toEqual([]);
  });

  test("members of a list are joined over its fields, in lower case, without the empty ones", () => {
    expect(listMembers(FIELDS, "connection")).toEqual(["keep-alive", "x-one", "x-two"]);
    expect(listMembers(FIELDS, "empty")).toEqual([]);
    expect(listMembers(FIELDS, "absent")).toEqual([]);
    expect(connectionOptions(FIELDS)).toEqual(new Set(["keep-alive", "x-one", "x-two"]));
  });
});
