import { parseCidr } from "../destination/cidr.ts";
import { isResourceName } from "../ids.ts";
import { nearestName } from "../nearest-name.ts";
import { Problem, toProblem } from "../problem.ts";
import { readHostPattern } from "./host-pattern.ts";
import { parsePathPattern } from "./path-pattern.ts";
import type { HostRules, NetworkPolicyInput, PolicyAction, PolicyRule } from "./policy-input.ts";

const METHOD = /^(?:\*|[A-Za-z0-9!#$%&'+.^_`|~-]{1,32})$/;
const MAX_ITEMS = 10_000;
const MAX_TEXT = 2_048;

/** What a person writes. */
const FILE_KEYS = ["mode", "rules", "allow"];
/** What Gatehouse itself puts into a policy. */
const INNER_KEYS = ["name", "guards", "hostRules", "granted"];
const KEYS = [...FILE_KEYS, ...INNER_KEYS];

/**
 * Reads a policy strictly: every key known, every value of its shape, nothing that could have no effect. Fails with
 * `policy.invalid`, saying where; with `api.not_supported` for `ask`.
 */
export function parsePolicy(written: unknown): NetworkPolicyInput {
  const at = "policy";
  const { name, mode = "strict", guards, hostRules, rules, allow, granted } = object(written, at, KEYS);
  if (mode !== "strict" && mode !== "permissive") throw invalid(`${at}.mode`, "strict or permissive");
  return {
    mode,
    ...(name === undefined ? {} : { name: parseName(name, `${at}.name`) }),
    ...(guards === undefined ? {} : { guards: list(guards, `${at}.guards`, parseGuard) }),
    ...(hostRules === undefined ? {} : { hostRules: list(hostRules, `${at}.hostRules`, parseHostRules) }),
    ...(rules === undefined ? {} : { rules: list(rules, `${at}.rules`, parseRule) }),
    ...(allow === undefined ? {} : { allow: list(allow, `${at}.allow`, parseHost) }),
    ...(granted === undefined ? {} : { granted: list(granted, `${at}.granted`, parseHost) }),
  };
}

/** A part of a written policy that is not valid. */
export interface PolicyFault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

const LISTS = {
  guards: parseGuard,
  hostRules: parseHostRules,
  rules: parseRule,
  allow: parseHost,
  granted: parseHost,
} as const;

/** A key that no policy file may have, though a policy may. `undefined`: it has none. */
export function findInnerKey(written: unknown): PolicyFault | undefined {
  if (typeof written !== "object" || written === null) return undefined;
  const key = Object.keys(written).find((one) => INNER_KEYS.includes(one));
  if (key === undefined) return undefined;
  return { path: [key], message: `${key} is not for a policy file, which has ${FILE_KEYS.join(", ")}.` };
}

/** Every rule that `parsePolicy` would fail at, where that stops at the first. */
export function findPolicyFaults(written: unknown): readonly PolicyFault[] {
  const lists = Object.keys(LISTS) as (keyof typeof LISTS)[];
  const listed = typeof written === "object" && written !== null ? (written as Readonly<Record<string, unknown>>) : {};
  const items = lists.flatMap((key) => {
    const list = listed[key];
    return Array.isArray(list) ? list.map((item, index) => ({ key, item, index })) : [];
  });
  const faults = items.flatMap(({ key, item, index }) => {
    const message = faultOf(() => LISTS[key](item, `policy.${key}[${index}]`));
    return message === undefined ? [] : [{ path: [key, index], message }];
  });
  const whole = faultOf(() => parsePolicy(written));
  return faults.length > 0 || whole === undefined ? faults : [{ path: [], message: whole }];
}

function faultOf(parse: () => unknown): string | undefined {
  try {
    parse();
    return undefined;
  } catch (failure) {
    return toProblem(failure).detail;
  }
}

function parseHostRules(written: unknown, at: string): HostRules {
  const { host, rules } = object(written, at, ["host", "rules"]);
  return {
    host: parseHost(host, `${at}.host`),
    rules: list(rules ?? [], `${at}.rules`, (rule, place) => {
      const { action, method, pathPattern } = object(rule, place, ["action", "method", "pathPattern"]);
      return {
        action: parseAction(action, `${place}.action`),
        method: isAbsent(method) ? "*" : parseMethod(method, `${place}.method`),
        pathPattern: isAbsent(pathPattern) ? "**" : parsePath(pathPattern, `${place}.pathPattern`),
      };
    }),
  };
}

/** Existing tools write an empty text where a rule says nothing. */
function isAbsent(written: unknown): boolean {
  return written === undefined || written === "";
}

function parseRule(written: unknown, at: string): PolicyRule {
  const rule = object(written, at, ["action", "hosts", "ports", "methods", "paths", "cidr", "reason", "client_auth"]);
  const parsed: PolicyRule = {
    action: parseAction(rule.action, `${at}.action`),
    hosts: someOf(rule.hosts, `${at}.hosts`, parseHost),
    ...(rule.ports === undefined ? {} : { ports: someOf(rule.ports, `${at}.ports`, parsePort) }),
    ...(rule.methods === undefined ? {} : { methods: someOf(rule.methods, `${at}.methods`, parseMethod) }),
    ...(rule.paths === undefined ? {} : { paths: someOf(rule.paths, `${at}.paths`, parsePath) }),
    ...(rule.cidr === undefined ? {} : { cidr: someOf(rule.cidr, `${at}.cidr`, parseRange) }),
    ...(rule.reason === undefined ? {} : { reason: text(rule.reason, `${at}.reason`) }),
    ...(rule.client_auth === undefined ? {} : { client_auth: parseClientAuth(rule, at) }),
  };
  checkPlaces(parsed, at);
  return parsed;
}

/** Two ports that disagree would make a refusal that never refuses; a range without host and port is never used. */
function checkPlaces({ action, hosts, ports, cidr }: PolicyRule, at: string): void {
  if (cidr !== undefined && action !== "allow") throw invalid(`${at}.cidr`, "absent unless the rule allows");
  for (const [index, host] of hosts.entries()) {
    const pattern = readHostPattern(host);
    const hasPort = pattern?.port !== undefined;
    const place = `${at}.hosts[${index}]`;
    if (hasPort && ports !== undefined) throw invalid(place, "without a port beside ports");
    if (cidr !== undefined && pattern?.kind === "any") throw invalid(place, "a stated host beside cidr");
    if (cidr !== undefined && !hasPort && ports === undefined) throw invalid(place, "with its port beside cidr");
  }
}

function parseGuard(written: unknown, at: string): PolicyRule {
  const rule = parseRule(written, at);
  if (rule.action !== "deny") throw invalid(`${at}.action`, "deny");
  return rule;
}

function parseAction(written: unknown, at: string): PolicyAction {
  if (written === "ask") {
    throw new Problem("api.not_supported", {
      detail: `${at} is ask: there are no approvals yet, write allow or deny.`,
    });
  }
  if (written !== "allow" && written !== "deny") throw invalid(at, "allow or deny");
  return written;
}

function parseClientAuth(rule: Readonly<Record<string, unknown>>, at: string): "allow" {
  if (rule.client_auth !== "allow") throw invalid(`${at}.client_auth`, "allow, or absent");
  if (rule.action !== "allow") throw invalid(`${at}.client_auth`, "absent unless the rule allows");
  return rule.client_auth;
}

function parseName(written: unknown, at: string): string {
  const name = text(written, at);
  if (!isResourceName(name))
    throw invalid(at, "at most 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit");
  return name;
}

function parseHost(written: unknown, at: string): string {
  const host = text(written, at);
  if (/^[a-z]+:\/\//i.test(host)) throw invalid(at, "a host without scheme and path, such as example.com");
  if (readHostPattern(host) === undefined) throw invalid(at, "host, host:port, *.suffix, an address, or *");
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
  if (!METHOD.test(method)) throw invalid(at, "an HTTP method or *");
  return method.toUpperCase();
}

function parsePath(written: unknown, at: string): string {
  const path = text(written, at);
  if (parsePathPattern(path) === undefined) {
    throw invalid(at, "a clean path that starts with /, in which * and ** are whole segments; every path is **");
  }
  return path;
}

function parseRange(written: unknown, at: string): string {
  const range = text(written, at);
  if (parseCidr(range) === undefined) throw invalid(at, "an address range such as 10.0.0.0/8");
  return range;
}

function object(written: unknown, at: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof written !== "object" || written === null || Array.isArray(written)) throw invalid(at, "an object");
  const unknown = Object.keys(written).find((key) => !known.includes(key));
  if (unknown !== undefined) throw unknownKey(at, unknown, known);
  return written as Readonly<Record<string, unknown>>;
}

type ParseItem<T> = (item: unknown, at: string) => T;

function list<T>(written: unknown, at: string, parse: ParseItem<T>): readonly T[] {
  if (!Array.isArray(written) || written.length > MAX_ITEMS) throw invalid(at, `a list of at most ${MAX_ITEMS}`);
  return Array.from(written, (item, index) => parse(item, `${at}[${index}]`));
}

/** An empty list could mean everything or nothing. */
function someOf<T>(written: unknown, at: string, parse: ParseItem<T>): readonly T[] {
  const items = list(written, at, parse);
  if (items.length === 0) throw invalid(at, "a list of at least one");
  return items;
}

function text(written: unknown, at: string): string {
  if (typeof written !== "string" || written === "" || written.length > MAX_TEXT) {
    throw invalid(at, `a text of 1 to ${MAX_TEXT} characters`);
  }
  return written;
}

function unknownKey(at: string, key: string, known: readonly string[]): Problem {
  const told = known === KEYS ? FILE_KEYS : known;
  const nearest = nearestName(key, told);
  const meant = nearest === undefined ? "" : ` Did you mean ${nearest}?`;
  const detail = `${at}.${key.slice(0, 40)} is not known.${meant} ${at} may have ${told.join(", ")}.`;
  return new Problem("policy.invalid", { detail });
}

function invalid(at: string, expected: string): Problem {
  return new Problem("policy.invalid", { detail: `${at} must be ${expected}.` });
}
