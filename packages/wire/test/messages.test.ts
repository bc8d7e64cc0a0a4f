import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  ConfirmNodeRequestSchema,
  ControlStreamRequestSchema,
  createMessageCheck,
  HelloSchema,
  loggable,
  RegisterRequestSchema,
  RosterSchema,
  SendCommandRequestSchema,
} from "../src/index.ts";

const check = createMessageCheck();

const VALID = {
  enrollmentToken: `ghe_${"a".repeat(43)}.${"b".repeat(22)}`,
  name: "n1",
  identityPublicKey: new Uint8Array(32),
  encryptionPublicKey: new Uint8Array(32),
  caPublicKey: new Uint8Array(91),
  proof: new Uint8Array(64),
};

test("a message within its rules passes", () => {
  expect(() => check(RegisterRequestSchema, create(RegisterRequestSchema, VALID))).not.toThrow();
});

test.each([
  ["a key of another length", { identityPublicKey: new Uint8Array(31) }, "identity_public_key"],
  ["a code of another form", { enrollmentToken: "ghe_short" }, "enrollment_token"],
  ["a name that leads elsewhere", { name: "../n1" }, "name"],
  ["no proof", { proof: new Uint8Array(0) }, "proof"],
])("%s is refused by the field's name, and its value is not repeated", (_, change, field) => {
  const message = create(RegisterRequestSchema, { ...VALID, ...change });
  expect(() => check(RegisterRequestSchema, message)).toThrow(
    expect.objectContaining({ code: "api.malformed", message: expect.stringContaining(field) }),
  );
  expect(() => check(RegisterRequestSchema, message)).not.toThrow(/ghe_short|\.\.\/n1/);
});

test("a stream message without content is refused", () => {
  expect(() => check(ControlStreamRequestSchema, create(ControlStreamRequestSchema))).toThrow(/message/);
});

test("marked fields stand in no log, at any depth", () => {
  const message = create(ConfirmNodeRequestSchema, {
    nodeId: "0190a1b2-0000-7000-8000-000000000000",
    fingerprint: "AAAAA-BBBBB-CCCCC-DDDDD",
    roster: create(RosterSchema, { version: 2n }),
  });
  const shown = JSON.stringify(loggable(ConfirmNodeRequestSchema, message, "redact"));
  expect(shown).toContain('"version":"2"');
  expect(shown).not.toContain("AAAAA");
  expect(JSON.stringify(loggable(RegisterRequestSchema, create(RegisterRequestSchema, VALID), "plain"))).not.toContain(
    "ghe_",
  );
});

test("a suppressed message shows nothing", () => {
  expect(loggable(SendCommandRequestSchema, create(SendCommandRequestSchema), "suppress")).toBeUndefined();
});

test("the first message of a node must name a protocol version", () => {
  expect(() => check(HelloSchema, create(HelloSchema, { bootId: "x" }))).toThrow(/protocol_versions/);
});
