import type { NetworkPolicyInput } from "@gatehouse/core";
import { expect, test } from "vitest";
import { requirePublic } from "../src/commands/local-reach.ts";

const LISTED = { localDestinations: ["localhost:8080", "10.0.0.5:443", "db.internal:5432"] };
const rule = (hosts: readonly string[], more: object = {}) => ({
  mode: "strict" as const,
  rules: [{ action: "allow" as const, hosts, ...more }],
});

test.each<[string, NetworkPolicyInput]>([
  ["loopback by name", { mode: "strict", allow: ["localhost:22"] }],
  ["loopback by address", rule(["127.0.0.1"], { ports: [22] })],
  ["a private address", rule(["10.0.0.6:443"])],
  ["a private address of IPv6", rule(["[fd00::1]:443"])],
  ["a name in a stated range", rule(["git.internal:443"], { cidr: ["10.0.0.0/8"] })],
  ["every host in a stated range", rule(["*"], { ports: [443], cidr: ["10.0.0.0/8"] })],
  ["a listed host at another port", rule(["localhost"], { ports: [8080, 8081] })],
  ["a host rule", { mode: "strict", hostRules: [{ host: "localhost:1", rules: [] }] }],
])("a policy from outside may not state %s that the node does not list", (_, policy) => {
  expect(() => requirePublic(policy, LISTED)).toThrow(expect.objectContaining({ code: "commands.above_ceiling" }));
});

test("it may state public places, what the node lists, and refuse whatever it likes", () => {
  const denied = { action: "deny" as const, hosts: ["localhost:22", "10.0.0.9"] };
  const policy = rule(["localhost"], { ports: [8080] });
  requirePublic({ ...policy, rules: [denied, ...policy.rules], allow: ["api.github.com", "10.0.0.5:443"] }, LISTED);
  requirePublic(rule(["db.internal:5432"], { cidr: ["10.0.0.0/8"] }), LISTED);
});
