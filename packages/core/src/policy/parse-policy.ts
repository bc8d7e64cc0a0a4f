import { parseCidr } from "../destination/address.ts";
import { Problem } from "../problem.ts";
import { parseHostPattern } from "./host-pattern.ts";
import { parsePathPattern } from "./path.ts";
import type { HostRules, NetworkPolicyInput, PolicyAction, PolicyRule } from "./policy-input.ts";

const METHOD = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,32}$/;
const MAX_RULES = 10_000;

/** Reads a policy strictly: every key known, every value of its shape. Fails with `policy.invalid`, saying where. */
export function parsePolicy(written: unknown): NetworkPolicyInput {
  const at = "policy";
  const { name, mode, hostRules, allow, rules } = object(written, at, ["name", "mode", "hostRules", "allow", "rules"]);
  if (mode !== "strict" && mode !== "permissive") throw invalid(`${at}.mode`, "strict or permissive");
  return {
    mode,
    ...(name === undefined ? {} : { name: text(name, `${at}.name`) }),
    ...(hostRules === undefined ? {} : { hostRules: list(hostRules, `${at}.hostRules`, parseHostRules) }),
    ...(allow === undefined ? {} : { allow: list(allow, `${at}.allow`, parseHost) }),
    ...(rules === undefined ? {} : { rules: list(rules, `${at}.rules`, parseRule) }),
  };
}

function parseHostRules(written: unknown, at: string): HostRules {
  const { host, rules } = object(written, at, ["host", "rules"]);
  return {
    host: parseHost(host, `${at}.host`),
    rules: list(rules ?? [], `${at}.rules`, (rule, place) => {
      const { action, method, pathPattern } = object(rule, place, ["action", "method", "pathPattern"]);
      return {
        action: parseAction(action, `${place}.action`),
        method: method === undefined || method === "*" || method === "" ? "*" : parseMethod(method, `${place}.method`),
        pathPattern:
          pathPattern === undefined || pathPattern === "" ? "**" : parsePath(pathPattern, `${place}.pathPattern`),
      };
    }),
  };
}

function parseRule(written: unknown, at: string): PolicyRule {
  const rule = object(written, at, ["action", "hosts", "ports", "methods", "paths", "cidr", "reason"]);
  const action = parseAction(rule.action, `${at}.action`);
  const hosts = list(rule.hosts, `${at}.hosts`, parseHost);
  if (hosts.length === 0) throw invalid(`${at}.hosts`, "at least one host");
  if (rule.cidr !== undefined && action !== "allow") throw invalid(`${at}.cidr`, "absent unless the rule allows");
  return {
    action,
    hosts,
    ...(rule.ports === undefined ? {} : { ports: list(rule.ports, `${at}.ports`, parsePort) }),
    ...(rule.methods === undefined ? {} : { methods: list(rule.methods, `${at}.methods`, parseMethod) }),
    ...(rule.paths === undefined ? {} : { paths: list(rule.paths, `${at}.paths`, parsePath) }),
    ...(rule.cidr === undefined ? {} : { cidr: list(rule.cidr, `${at}.cidr`, parseRange) }),
    ...(rule.reason === undefined ? {} : { reason: text(rule.reason, `${at}.reason`) }),
  };
}

function parseAction(written: unknown, at: string): PolicyAction {
  if (written === "ask") throw invalid(at, "allow or deny: this version has no approvals");
  if (written !== "allow" && written !== "deny") throw invalid(at, "allow or deny");
  return written;
}

function parseHost(written: unknown, at: string): string {
  const host = text(written, at);
  parseHostPattern(host);
  return host;
}

function parsePort(written: unknown, at: string): number {
  if (typeof written !== "number" || !Number.isInteger(written) || written < 1 || written > 65_535) {
    throw invalid(at, "a port from 1 to 65535");
  }
  return written;
}

function parseMethod(written: unknown, at: string): string {
  const method = text(written, at);
  if (!METHOD.test(method)) throw invalid(at, "an HTTP method");
  return method.toUpperCase();
}

function parsePath(written: unknown, at: string): string {
  const path = text(written, at);
  if (parsePathPattern(path) === undefined) throw invalid(at, "a path pattern that starts with /");
  return path;
}

function parseRange(written: unknown, at: string): string {
  const range = text(written, at);
  if (parseCidr(range) === undefined) throw invalid(at, "an address range such as 10.0.0.0/8");
  return range;
}

function object(written: unknown, at: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof written !== "object" || written === null || Array.isArray(written)) throw invalid(at, "an object");
  for (const key of Object.keys(written)) {
    if (!known.includes(key)) throw invalid(`${at}.${key.slice(0, 40)}`, `absent: known are ${known.join(", ")}`);
  }
  return written as Readonly<Record<string, unknown>>;
}

function list<T>(written: unknown, at: string, parse: (item: unknown, at: string) => T): readonly T[] {
  if (!Array.isArray(written) || written.length > MAX_RULES) throw invalid(at, `a list of at most ${MAX_RULES}`);
  return written.map((item, index) => parse(item, `${at}[${index}]`));
}

function text(written: unknown, at: string): string {
  if (typeof written !== "string" || written === "" || written.length > 1024) throw invalid(at, "a short text");
  return written;
}

function invalid(at: string, expected: string): Problem {
  return new Problem("policy.invalid", { detail: `${at} must be ${expected}.` });
}
