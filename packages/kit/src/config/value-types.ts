import { isIP } from "node:net";
import { isAbsolute, resolve } from "node:path";
import { isIpAddress, normaliseHost, parseCidr } from "@gatehouse/core";

/** Where a value stands, as far as its reading depends on it. */
export interface ValueContext {
  /** Relative paths count from here: the file's directory, or the working directory for environment and flags. */
  readonly baseDir: string;
}

/** How a setting is read. `undefined` from either function means that the value is not of this type. */
export interface ValueType<T> {
  /** As the reference names it. */
  readonly name: string;
  /** From the YAML file. */
  fromFile(value: unknown, context: ValueContext): T | undefined;
  /** From the environment or a flag. */
  fromText(text: string, context: ValueContext): T | undefined;
}

/** A file or directory; absolute once read. */
export const pathType: ValueType<string> = {
  name: "path",
  fromFile: (value, { baseDir }) => (typeof value === "string" && value !== "" ? resolve(baseDir, value) : undefined),
  fromText: (text, { baseDir }) => (text === "" ? undefined : resolve(baseDir, text)),
};

export const booleanType: ValueType<boolean> = {
  name: "true or false",
  fromFile: (value) => (typeof value === "boolean" ? value : undefined),
  fromText: (text) => (text === "true" ? true : text === "false" ? false : undefined),
};

/** A whole number within inclusive bounds. */
export function integerType(min: number, max: number): ValueType<number> {
  const check = (value: unknown) =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max ? (value as number) : undefined;
  return {
    name: `whole number, ${min} to ${max}`,
    fromFile: check,
    fromText: (text) => (/^\d{1,16}$/.test(text) ? check(Number(text)) : undefined),
  };
}

/** One of some words. */
export function wordType<const W extends string>(words: readonly W[]): ValueType<W> {
  const check = (value: unknown) => words.find((word) => word === value);
  return { name: words.map((word) => `\`${word}\``).join(", "), fromFile: check, fromText: check };
}

type Hosts = Readonly<Record<string, string>>;
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/;

/** Host names → IP addresses; `name=address,name=address` in text. Names are lower case once read. */
export const hostsType: ValueType<Hosts> = {
  name: "map of host name to IP address",
  fromFile: (value) =>
    typeof value === "object" && value !== null && !Array.isArray(value) ? readHosts(Object.entries(value)) : undefined,
  fromText: (text) =>
    readHosts(
      text.split(",").map((pair): readonly [string, string] => {
        const [name = "", ...address] = pair.split("=");
        return [name.trim(), address.join("=").trim()];
      }),
    ),
};

function readHosts(entries: readonly (readonly [string, unknown])[]): Hosts | undefined {
  const hosts: Record<string, string> = {};
  for (const [spelled, address] of entries) {
    const name = spelled.toLowerCase();
    if (!HOST_NAME.test(name) || typeof address !== "string" || isIP(address) === 0) return undefined;
    if (Object.hasOwn(hosts, name)) return undefined;
    hosts[name] = address;
  }
  return hosts;
}

/** Where to listen: an address of this host, with a port or without. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number | undefined;
}

const WILDCARDS: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/** `address` or `address:port`, IPv6 in brackets; `undefined` for names, and for addresses that mean every interface. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const [, written = "", port] = /^(\[[^\]]+\]|[^:]+)(?::([1-9]\d{0,4}))?$/.exec(text) ?? [];
  const host = normaliseHost(written);
  if (host === undefined || isIpAddress(host) === 0 || WILDCARDS.has(host)) return undefined;
  if (port === undefined) return { host, port };
  return Number(port) <= 65_535 ? { host, port: Number(port) } : undefined;
}

const ISOLATING = ["bubblewrap", "unshare"] as const;

/** Drivers that isolate. */
export const driversType: ValueType<readonly (typeof ISOLATING)[number][]> = {
  name: "list of `bubblewrap` and `unshare`",
  fromFile: (value) => (Array.isArray(value) ? readDrivers(value) : undefined),
  fromText: (text) => readDrivers(text.split(",").map((item) => item.trim())),
};

function readDrivers(items: readonly unknown[]): readonly (typeof ISOLATING)[number][] | undefined {
  const known = items.flatMap((item) => ISOLATING.find((word) => word === item) ?? []);
  return known.length === items.length && known.length > 0 ? known : undefined;
}

/** A list of texts that `check` lets through; with commas between them in the environment. */
function listType(name: string, check: (text: string) => boolean): ValueType<readonly string[]> {
  const read = (items: readonly unknown[]) =>
    items.every((item): item is string => typeof item === "string" && check(item)) ? items : undefined;
  return {
    name,
    fromFile: (value) => (Array.isArray(value) ? read(value) : undefined),
    fromText: (text) => read(text.split(",").map((item) => item.trim())),
  };
}

/** Addresses to listen at. */
export const listenType = listType("list of IP addresses, each with `:port` or without; no wildcards", (text) => {
  return parseListenAddress(text) !== undefined;
});

/** Places, as policies state them. */
export const destinationsType = listType("list of `host:port`", (text) =>
  /^[^\s:]+:\d{1,5}$|^\[[^\]]+\]:\d{1,5}$/.test(text),
);
/** Absolute paths. */
export const pathsType = listType("list of absolute paths", isAbsolute);

/** Ranges of addresses. */
export const rangesType = listType("list of addresses or `address/prefix`", (text) => parseCidr(text) !== undefined);

/** One line of text. */
export const textType: ValueType<string> = {
  name: "text",
  fromFile: (value) => (typeof value === "string" ? oneLine(value) : undefined),
  fromText: oneLine,
};

function oneLine(text: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  return text !== "" && text.length <= 1_024 && !/[\u0000-\u001f\u007f]/.test(text) ? text : undefined;
}

/** A map whose values are some words; `name=word,name=word` in text. */
export function wordMapType<const W extends string>(words: readonly W[]): ValueType<Readonly<Record<string, W>>> {
  const read = (entries: readonly (readonly [string, unknown])[]) => {
    const pairs = entries.map(([name, value]) => [oneLine(name), words.find((word) => word === value)] as const);
    const isWhole = pairs.every((pair): pair is readonly [string, W] => pair[0] !== undefined && pair[1] !== undefined);
    return isWhole && new Map(pairs).size === pairs.length ? Object.fromEntries(pairs) : undefined;
  };
  return {
    name: `map of text to one of ${words.map((word) => `\`${word}\``).join(", ")}`,
    fromFile: (value) =>
      typeof value === "object" && value !== null && !Array.isArray(value) ? read(Object.entries(value)) : undefined,
    fromText: (text) =>
      read(
        text.split(",").map((pair) => {
          const at = pair.lastIndexOf("=");
          return [pair.slice(0, Math.max(at, 0)).trim(), pair.slice(at + 1).trim()] as const;
        }),
      ),
  };
}
