import { strictEqual as equal, match, ok } from "node:assert";
import { isIPv4, isIPv6 } from "node:net";
import type { RandomNumber } from "@gatehouse/testbed";
import { isIpAddress, mayDial, normaliseHost, parseAuthority, parseCidr } from "../../../packages/core/src/index.ts";
import type { FuzzTarget } from "../fuzz-target.ts";

const PARTS = [
  ...[
    "0",
    "1",
    "10",
    "127",
    "255",
    "256",
    "0177",
    "08",
    "0x7f",
    "0X7F",
    "0x",
    "4294967295",
    "2130706433",
    "017700000001",
  ],
  ...[
    "a",
    "api",
    "test",
    "localhost",
    "xn--bcher-kva",
    "_dmarc",
    "-a",
    "a-",
    "A",
    "K",
    "\u212a",
    "\xe9",
    "\uff0e",
    "\u3002",
  ],
  ...[".", ".", ".", ":", ":", "::", "[", "]", "%", "%25", "%2e", "@", "/", "\\", "#", "?", " ", "\t", "\0", "\n"],
  ...["fe80", "ffff", "ff02", "64:ff9b", "2002", "::1", "::ffff:", "127.0.0.1", ":443", ":0443", ":0", ":65536", "/8"],
];
const corpus = [
  "api.test",
  "API.Test.",
  "127.1",
  "0x7f.1",
  "017700000001",
  "2130706433",
  "[::ffff:127.0.0.1]",
  "::1",
  "fe80::1%eth0",
  "[::1]:443",
  "a..b",
  "1.2.3.4.5",
  "user@api.test",
].map((text) => Buffer.from(text));

/** Hosts and authorities: one spelling, which is its own, and the host that a URL with it means. */
export const target: FuzzTarget = {
  corpus,
  generate,
  check: (input) => {
    const text = input.toString();
    checkHost(text);
    checkAuthority(text);
    parseCidr(text);
  },
};

function generate(random: RandomNumber): Buffer {
  const start = random(3) === 0 ? (corpus[random(corpus.length)]?.toString() ?? "") : "";
  const parts = Array.from({ length: random(7) }, () => PARTS[random(PARTS.length)] ?? "");
  const at = random(start.length + 1);
  return Buffer.from(start.slice(0, at) + parts.join("") + start.slice(at));
}

function checkHost(text: string): void {
  const host = normaliseHost(text);
  if (host === undefined) return;
  match(host, /^[a-z0-9_.:-]{1,253}$/);
  equal(normaliseHost(host), host);
  equal(isIpAddress(host), isIPv4(host) ? 4 : isIPv6(host) ? 6 : 0);
  if (isIpAddress(host) !== 0) mayDial(host, []);
  const meant = hostOfUrl(text);
  if (meant !== undefined) equal(host, meant, "a URL with it means another host");
}

function checkAuthority(text: string): void {
  const place = parseAuthority(text, 443);
  if (place === undefined) return;
  const written = place.host.includes(":") ? `[${place.host}]` : place.host;
  const again = parseAuthority(`${written}:${place.port}`);
  ok(again?.host === place.host && again.port === place.port);
  const url = unlessInvalid(`wss://${text}/`);
  if (url === undefined) return;
  equal(url.username + url.password, "");
  equal(Number(url.port || 443), place.port);
}

/** In our spelling. */
function hostOfUrl(text: string): string | undefined {
  const url = unlessInvalid(`http://${text.includes(":") && !text.startsWith("[") ? `[${text}]` : text}/`);
  if (url === undefined) return undefined;
  const { hostname } = url;
  if (!hostname.startsWith("[")) return hostname.replace(/\.$/, "");
  const address = hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(address) ?? [];
  if (high === undefined || low === undefined) return address;
  const groups = [high, low].map((group) => Number.parseInt(group, 16));
  return groups.flatMap((group) => [group >> 8, group & 255]).join(".");
}

function unlessInvalid(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}
