import { dirname } from "node:path";
import { nearestName, Problem } from "@gatehouse/core";
import { defaultConfigFile } from "../files/default-paths.ts";
import { CONFIG_KEYS, type ConfigKey, type ConfigKeyRow, type ConfigValues } from "./config-keys.ts";
import { readConfigFile } from "./read-config-file.ts";
import type { ValueContext } from "./value-types.ts";

/** Where a value came from. */
export type ConfigSource = "flag" | "environment" | "file" | "default";

/** All settings, frozen: sections by name, then keys as the table spells them. */
export interface Config {
  readonly state: { readonly dir: string };
  readonly log: { readonly level: ConfigValues["log.level"]; readonly format: ConfigValues["log.format"] };
  readonly gate: {
    readonly port: number;
    readonly listen: readonly string[];
    readonly engines: readonly string[];
    readonly workers: number;
    readonly upstreamCa: string | undefined;
    readonly hosts: Readonly<Record<string, string>>;
    readonly connectTimeoutMs: number;
    readonly upstreamTimeoutMs: number;
    readonly idleTimeoutMs: number;
  };
  readonly node: {
    readonly driver: ConfigValues["node.driver"];
    readonly commandDrivers: ConfigValues["node.commandDrivers"];
    readonly localDestinations: ConfigValues["node.localDestinations"];
    readonly workspaceRoots: ConfigValues["node.workspaceRoots"];
    readonly exposeCredentials: boolean;
    readonly emptyTimeoutMs: number;
    readonly stalenessBoundMs: number;
  };
  readonly routes: { readonly port: number };
  readonly metrics: { readonly port: number };
  readonly people: { readonly passwords: ConfigValues["people.passwords"] };
  readonly retention: {
    readonly telemetryDays: ConfigValues["retention.telemetryDays"];
    readonly eventsDays: ConfigValues["retention.eventsDays"];
    readonly commandsDays: ConfigValues["retention.commandsDays"];
  };
  readonly oidc: {
    readonly issuer: string | undefined;
    readonly clientId: string | undefined;
    readonly clientSecretFile: string | undefined;
    readonly org: string | undefined;
    readonly roleClaim: string;
    readonly roles: ConfigValues["oidc.roles"];
    readonly emailDomains: ConfigValues["oidc.emailDomains"];
    readonly caFile: string | undefined;
    readonly addressRanges: readonly string[];
  };
  readonly records: { readonly maxBytes: number; readonly maxFiles: number };
  /** For `config show`. */
  readonly sources: Readonly<Record<ConfigKey, ConfigSource>>;
}

export interface ConfigInput {
  /** Must exist when given. Default: `config.yaml` of the user's configuration directory, if it is there. */
  readonly file?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Values of the flags that were given, by key (`state.dir`). */
  readonly flags?: Readonly<Partial<Record<ConfigKey, string>>>;
}

/** Names that belong to settings: one that is not in the table is a misspelling. */
const SETTING_VARIABLE = /^GATEHOUSE_(?:STATE|LOG|GATE|NODE|ROUTES|METRICS|PEOPLE|OIDC|RECORDS|UPSTREAM)_/;

/**
 * Reads the configuration once: flag over environment over file over default. Unknown keys and variables are refused
 * with `config.unknown_key`, naming the nearest known one; values of a wrong type with `config.invalid`, naming key,
 * place and type.
 */
export function loadConfig(input: ConfigInput): Config {
  const path = input.file ?? defaultConfigFile(input.env);
  const file = readConfigFile(path, ["gate.hosts", "oidc.roles", "oidc.emailDomains"]);
  if (file === undefined && input.file !== undefined) {
    throw new Problem("config.invalid", { detail: `${path} is not there.` });
  }
  refuseUnknown([...(file?.keys() ?? [])], Object.keys(CONFIG_KEYS), path);
  refuseUnknownVariables(input.env);
  const places: Places = { input, file: file ?? new Map(), path };
  const read = <K extends ConfigKey>(key: K) => readKey(key, places).value;
  const sources = Object.fromEntries(
    Object.keys(CONFIG_KEYS).map((key) => [key, readKey(key as ConfigKey, places).source]),
  ) as Record<ConfigKey, ConfigSource>;
  return deepFreeze({
    state: { dir: read("state.dir") },
    log: { level: read("log.level"), format: read("log.format") },
    gate: {
      port: read("gate.port"),
      listen: read("gate.listen"),
      engines: read("gate.engines"),
      workers: read("gate.workers"),
      upstreamCa: read("gate.upstreamCa"),
      hosts: read("gate.hosts"),
      connectTimeoutMs: read("gate.connectTimeoutMs"),
      upstreamTimeoutMs: read("gate.upstreamTimeoutMs"),
      idleTimeoutMs: read("gate.idleTimeoutMs"),
    },
    node: {
      driver: read("node.driver"),
      commandDrivers: read("node.commandDrivers"),
      localDestinations: read("node.localDestinations"),
      workspaceRoots: read("node.workspaceRoots"),
      exposeCredentials: read("node.exposeCredentials"),
      emptyTimeoutMs: read("node.emptyTimeoutMs"),
      stalenessBoundMs: read("node.stalenessBoundMs"),
    },
    routes: { port: read("routes.port") },
    metrics: { port: read("metrics.port") },
    people: { passwords: read("people.passwords") },
    retention: {
      telemetryDays: read("retention.telemetryDays"),
      eventsDays: read("retention.eventsDays"),
      commandsDays: read("retention.commandsDays"),
    },
    oidc: {
      issuer: read("oidc.issuer"),
      clientId: read("oidc.clientId"),
      clientSecretFile: read("oidc.clientSecretFile"),
      org: read("oidc.org"),
      roleClaim: read("oidc.roleClaim"),
      roles: read("oidc.roles"),
      emailDomains: read("oidc.emailDomains"),
      caFile: read("oidc.caFile"),
      addressRanges: read("oidc.addressRanges"),
    },
    records: { maxBytes: read("records.maxBytes"), maxFiles: read("records.maxFiles") },
    sources,
  });
}

interface Places {
  readonly input: ConfigInput;
  readonly file: ReadonlyMap<string, unknown>;
  readonly path: string;
}

interface Found<T> {
  readonly value: T;
  readonly source: ConfigSource;
}

function readKey<K extends ConfigKey>(key: K, { input, file, path }: Places): Found<ConfigValues[K]> {
  // Rows differ in their value's type; the table's mapped type ties key and value together.
  const row = CONFIG_KEYS[key] as unknown as ConfigKeyRow<ConfigValues[K]>;
  const here: ValueContext = { baseDir: process.cwd() };
  const flag = input.flags?.[key];
  if (flag !== undefined) {
    return { value: expect(row.type.fromText(flag, here), row, row.flag ?? key), source: "flag" };
  }
  const text = input.env[row.env];
  // An empty variable is how a shell unsets one for a command.
  if (text !== undefined && text !== "") {
    return { value: expect(row.type.fromText(text, here), row, row.env), source: "environment" };
  }
  if (file.has(key)) {
    const value = row.type.fromFile(file.get(key), { baseDir: dirname(path) });
    return { value: expect(value, row, `${key} in ${path}`), source: "file" };
  }
  return { value: row.default(input.env), source: "default" };
}

/** The value itself is not repeated: it may be something that was pasted into the wrong place. */
function expect<T>(value: T | undefined, row: ConfigKeyRow<T>, place: string): T {
  if (value === undefined) {
    throw new Problem("config.invalid", { detail: `${place} must be of type: ${row.type.name.replaceAll("`", "")}.` });
  }
  return value;
}

function refuseUnknown(names: readonly string[], known: readonly string[], place: string): void {
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const nearest = nearestName(unknown, known);
  const hint = nearest === undefined ? `Known are: ${known.join(", ")}.` : `Did you mean ${nearest}?`;
  throw new Problem("config.unknown_key", { detail: `${place}: ${unknown}. ${hint}` });
}

function refuseUnknownVariables(env: ConfigInput["env"]): void {
  const names = Object.keys(env).filter((name) => SETTING_VARIABLE.test(name) && env[name] !== "");
  const known = Object.values(CONFIG_KEYS).map((row) => row.env);
  refuseUnknown(names, known, "environment");
}

function deepFreeze<T extends object>(value: T): T {
  for (const below of Object.values(value)) {
    if (typeof below === "object" && below !== null) deepFreeze(below);
  }
  return Object.freeze(value);
}
