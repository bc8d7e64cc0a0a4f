import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isIpAddress, normaliseHost, parseAuthority } from "../../src/index.ts";

describe("every spelling of a host has one form", () => {
  test.each([
    // names
    ["API.GitHub.COM", "api.github.com"],
    ["api.github.com.", "api.github.com"],
    ["localhost.", "localhost"],
    ["xn--bcher-kva.example", "xn--bcher-kva.example"],
    ["_acme-challenge.example.com", "_acme-challenge.example.com"],
    ["3com.com", "3com.com"],
    ["0x7f.example", "0x7f.example"],
    // IPv4 as inet_aton reads it
    ["127.0.0.1", "127.0.0.1"],
    ["127.0.0.1.", "127.0.0.1"],
    ["127.1", "127.0.0.1"],
    ["127.0.1", "127.0.0.1"],
    ["2130706433", "127.0.0.1"],
    ["017700000001", "127.0.0.1"],
    ["0x7f000001", "127.0.0.1"],
    ["0X7F.1", "127.0.0.1"],
    ["0177.0.0.01", "127.0.0.1"],
    ["0000000177.0.0.1", "127.0.0.1"],
    ["0x00000000007f.1", "127.0.0.1"],
    ["169.254.43518", "169.254.169.254"],
    ["0xa9fea9fe", "169.254.169.254"],
    ["010.0.0.1", "8.0.0.1"],
    ["0", "0.0.0.0"],
    ["4294967295", "255.255.255.255"],
    // IPv6
    ["[::1]", "::1"],
    ["::1", "::1"],
    ["[0:0:0:0:0:0:0:1]", "::1"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0db8::0001", "2001:db8::1"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::", "::"],
    ["[::ffff:127.0.0.1]", "127.0.0.1"],
    ["::ffff:7f00:1", "127.0.0.1"],
    ["0:0:0:0:0:FFFF:a9fe:a9fe", "169.254.169.254"],
    ["::127.0.0.1", "::7f00:1"],
    ["64:ff9b::169.254.169.254", "64:ff9b::a9fe:a9fe"],
  ])("%s is %s", (text, host) => {
    expect(normaliseHost(text)).toBe(host);
  });
});

describe("what can be read in two ways is no host", () => {
  test.each([
    "",
    ".",
    "..",
    "localhost..",
    ".localhost",
    "a..b",
    "a b",
    "a\tb",
    "host\n",
    "host\u0000",
    "user@host",
    "host/path",
    "host?x",
    "host#x",
    "host\\x",
    "%6cocalhost",
    "local%2ehost",
    // U+212A Kelvin and U+017F long s fold to ASCII letters; full-width dots and digits are read as ASCII by IDNA.
    "\u212Aube.local",
    "e\u017Fxample.com",
    "127\u30020\u30020\u30021",
    "\uff11\uff12\uff17.0.0.1",
    "b\u00fccher.example",
    "-a.example",
    "a-.example",
    `${"a".repeat(64)}.example`,
    `${"a.".repeat(126)}toolong`,
    "1.2.3.4.5",
    "256.0.0.1",
    "1.2.3.256",
    "127.0.0.08",
    "4294967296",
    "0x100000000",
    "0x",
    "1..2",
    "example.123",
    "example.0x1",
    "[127.0.0.1]",
    "[::1",
    "::1]",
    "[::1].",
    "[]",
    ":",
    ":::",
    "1:2:3",
    "1::2::3",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "::12345",
    "::g",
    "fe80::1%eth0",
    "[fe80::1%25eth0]",
    "::ffff:127.0.0.01",
    "::ffff:0x7f.0.0.1",
    "::ffff:127.1",
    "::1.2.3.4:5",
    "1.2.3.4::",
    "[v1.fe80::a]",
  ])("%j", (text) => {
    expect(normaliseHost(text)).toBeUndefined();
  });
});

const ipv4 = fc.nat({ max: 0xff_ff_ff_ff });
const dotted = (address: number) => [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256);
const spelled = fc.constantFrom(
  (part: number) => String(part),
  (part: number) => `0x${part.toString(16)}`,
  (part: number) => `0${part.toString(8)}`,
);

test("whatever mixture of parts, decimal, octal and hex an IPv4 address is written in, it is the same host", () => {
  fc.assert(
    fc.property(ipv4, fc.integer({ min: 1, max: 4 }), fc.array(spelled, { minLength: 4 }), (address, count, spell) => {
      const bytes = dotted(address);
      const head = bytes.slice(0, count - 1);
      const tail = bytes.slice(count - 1).reduce((sum, byte) => sum * 256 + byte, 0);
      const text = [...head, tail].map((part, index) => spell[index]?.(part)).join(".");
      expect(normaliseHost(text)).toBe(bytes.join("."));
    }),
  );
});

test("IPv6 addresses are read as the platform's URL parser reads them", () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const host = normaliseHost(text);
      const url = normaliseHost(new URL(`http://[${text}]/`).hostname);
      expect(host).toBe(url);
      if (host?.includes(":")) expect(`[${host}]`).toBe(new URL(`http://[${host}]/`).hostname);
    }),
  );
});

test("a host's form is its own form, and the URL parser sees the same host in it", () => {
  const any = fc.oneof(
    fc.domain(),
    fc.ipV4Extended(),
    fc.ipV6(),
    fc.string({ unit: fc.constantFrom("a", "K", ".", "-", "0", "7", "x", "1", ":", "_"), maxLength: 12 }),
  );
  fc.assert(
    fc.property(any, (text) => {
      const host = normaliseHost(text);
      if (host === undefined) return;
      expect(normaliseHost(host)).toBe(host);
      const bracketed = host.includes(":") ? `[${host}]` : host;
      // xn-- labels that are not valid punycode are refused by URL; there is no second reading then.
      if (URL.canParse(`http://${bracketed}/`)) expect(new URL(`http://${bracketed}/`).hostname).toBe(bracketed);
    }),
  );
});

test.each([
  ["127.0.0.1", 4],
  ["255.255.255.255", 4],
  ["256.0.0.1", 0],
  ["127.1", 0],
  ["01.2.3.4", 0],
  ["1.2.3.4.", 0],
  ["::1", 6],
  ["fe80::1%1", 0],
  [":", 0],
  ["example.com", 0],
] as const)("%j is an address of family %i", (host, family) => {
  expect(isIpAddress(host)).toBe(family);
});

describe("an authority is a host and a port", () => {
  test.each([
    ["Example.com:443", { host: "example.com", port: 443 }],
    ["[::1]:8080", { host: "::1", port: 8080 }],
    ["0x7f.1:65535", { host: "127.0.0.1", port: 65_535 }],
  ])("%s", (text, authority) => {
    expect(parseAuthority(text)).toEqual(authority);
  });

  test("a missing port is the default one, where there is one", () => {
    expect(parseAuthority("example.com", 443)).toEqual({ host: "example.com", port: 443 });
    expect(parseAuthority("[::1]", 443)).toEqual({ host: "::1", port: 443 });
    expect(parseAuthority("example.com")).toBeUndefined();
  });

  test.each([
    "",
    ":443",
    "example.com:",
    "example.com:0",
    "example.com:65536",
    "example.com:0443",
    "example.com:+443",
    "example.com:443 ",
    "example.com:44 3",
    "example.com:443:443",
    "user@example.com:443",
    "user:pass@example.com:443",
    "::1:443x",
    "[::1]x:443",
    "[example.com]:443",
    "example.com:\u0664\u0664\u0663",
    "example.com/x:443",
  ])("%j is none", (text) => {
    expect(parseAuthority(text)).toBeUndefined();
  });
});
