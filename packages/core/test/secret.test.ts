import { inspect } from "node:util";
import { expect, test } from "vitest";
import { Problem, Secret } from "../src/index.ts";

const PLAIN = "planted-value-7f3a";

test.each([
  ["template text", (secret: Secret) => `${secret}`],
  ["concatenation", (secret: Secret) => `x ${String(secret)}`],
  ["JSON", (secret: Secret) => JSON.stringify({ nested: [secret] })],
  ["inspection", (secret: Secret) => inspect({ secret }, { depth: 9, showHidden: true })],
  ["a map's inspection", (secret: Secret) => inspect(new Map([[secret, secret]]))],
  ["a structured clone", (secret: Secret) => inspect(structuredClone({ ...secret }))],
  ["its own properties", (secret: Secret) => Reflect.ownKeys(secret).map(String).join()],
  ["an error that quotes it", (secret: Secret) => inspect(new Problem("internal", { detail: `with ${secret}` }))],
])("a secret is not shown by %s", (_, show) => {
  expect(show(new Secret(PLAIN))).not.toContain(PLAIN);
});

test("revealing gives the plaintext back", () => {
  expect(new Secret(PLAIN).reveal()).toBe(PLAIN);
});
