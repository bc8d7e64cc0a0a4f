import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AddressClass,
  cidrContains,
  classifyAddress,
  mayDial,
  normaliseHost,
  parseCidr,
} from "../../src/index.ts";

const TABLE: readonly (readonly [AddressClass, readonly string[]])[] = [
  ["public", ["1.1.1.1", "8.8.8.8", "140.82.112.3", "172.15.255.255", "172.32.0.1", "192.169.0.1", "2606:4700::1111"]],
  ["public", ["64:ff9b::808:808", "2002:808:808::1", "2001:0:808:808::f7f7:f7f7", "2a00::200:5efe:8.8.8.8"]],
  ["loopback", ["127.0.0.1", "127.0.0.2", "127.255.255.255", "::1", "0x7f.1", "2130706433", "::ffff:127.0.0.1"]],
  ["loopback", ["64:ff9b::127.0.0.1", "2002:7f00:1::", "::127.0.0.1", "::ffff:0:127.0.0.1", "2a00::5efe:127.0.0.1"]],
  ["loopback", ["2001:0:808:808::80ff:fffe", "2001:0:7f00:1::f7f7:f7f7", "64:ff9b:1::127.0.0.1"]],
  ["loopback", ["64:ff9b:1:7f00:0:100::", "64:ff9b:1:7f:0:1::", "64:ff9b:1:0:7f:0:100:0"]],
  ["private", ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "198.18.0.1"]],
  ["private", ["fd00::1", "fc00::1", "fec0::1", "64:ff9b::10.0.0.1", "2002:c0a8:101::1", "::ffff:192.168.0.1"]],
  ["private", ["64:ff9b:1::10.0.0.1", "64:ff9b:1::8.8.8.8", "64:ff9b:1:808:8:800::"]],
  [
    "link_local",
    ["169.254.0.1", "169.254.255.255", "fe80::1", "febf::1", "64:ff9b::169.254.1.1", "fe80::5efe:8.8.8.8"],
  ],
  ["metadata", ["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192"]],
  ["metadata", ["fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "::ffff:169.254.169.254", "fe80::a9fe:a9fe"]],
  ["metadata", ["64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "2001:0:808:808::5601:5601", "fd00::5efe:a9fe:a9fe"]],
  ["metadata", ["64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1::a9fe:a9fe", "0xa9fea9fe", "::a9fe:a9fe", "2002:a83f:8110::1"]],
  ["multicast", ["224.0.0.1", "239.255.255.255", "ff02::1", "64:ff9b::224.0.0.1"]],
  ["unspecified", ["0.0.0.0", "0.1.2.3", "::", "0", "::ffff:0.0.0.0", "64:ff9b::"]],
  ["reserved", ["192.0.0.8", "192.0.2.1", "198.51.100.1", "203.0.113.1", "240.0.0.1", "255.255.255.255"]],
  [
    "reserved",
    ["2001:db8::1", "3fff::1", "100::1", "5f00::1", "4000::1", "2001:2::1", "::8.8.8.8", "::ffff:0:8.8.8.8"],
  ],
  ["reserved", ["example.com", "", "999.1.1.1", "fe80::1%1"]],
];
const CASES = TABLE.flatMap(([kind, addresses]) => addresses.map((address) => [address, kind] as const));

describe("addresses are what they are, and what they carry", () => {
  test.each(CASES)("%j is %s", (address, kind) => {
    expect(classifyAddress(address)).toBe(kind);
  });
});

const ipv4 = fc
  .tuple(fc.nat({ max: 255 }), fc.nat({ max: 255 }), fc.nat({ max: 255 }), fc.nat({ max: 255 }))
  .map((bytes) => ({ text: bytes.join("."), hex: bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("") }));

test("no IPv6 form of an IPv4 address that may not be dialed is public", () => {
  fc.assert(
    fc.property(ipv4, ({ text, hex }) => {
      const kind = classifyAddress(text);
      if (kind === "public") return;
      const [high, low] = [hex.slice(0, 4), hex.slice(4)];
      const inverted = [high, low].map((part) => (~Number.parseInt(part, 16) & 0xffff).toString(16)).join(":");
      const forms = [
        `::ffff:${text}`,
        `::ffff:0:${text}`,
        `64:ff9b::${text}`,
        `64:ff9b:1::${text}`,
        `64:ff9b:1:${high}:${low.slice(0, 2)}:${low.slice(2)}00::`,
        `2002:${high}:${low}:1::1`,
        `2001:0:${high}:${low}:0:0:f7f7:f7f7`,
        `2001:0:808:808:8000:0:${inverted}`,
        `2a00:1::200:5efe:${text}`,
      ];
      for (const form of forms) {
        expect(classifyAddress(form)).not.toBe("public");
        if (kind === "metadata" || kind === "link_local") expect(mayDial(form, ["::/0", "0.0.0.0/0"]).ok).toBe(false);
      }
    }),
  );
});

describe("what may be dialed", () => {
  test.each([
    ["8.8.8.8", [], true],
    ["127.0.0.1", [], false],
    ["127.0.0.1", ["127.0.0.0/8"], true],
    ["127.0.0.1", ["127.0.0.1"], true],
    ["127.0.0.2", ["127.0.0.1"], false],
    ["::ffff:127.0.0.1", ["127.0.0.0/8"], true],
    ["::1", ["127.0.0.0/8"], false],
    ["::1", ["127.0.0.0/8", "::1/128"], true],
    ["10.1.2.3", ["10.0.0.0/8"], true],
    ["11.1.2.3", ["10.0.0.0/8"], true],
    ["192.168.0.1", ["10.0.0.0/8"], false],
    // An address that carries another is not in that one's range.
    ["64:ff9b::10.0.0.1", ["10.0.0.0/8"], false],
    ["64:ff9b::10.0.0.1", ["64:ff9b::/96"], true],
    ["64:ff9b:1::10.0.0.1", ["64:ff9b:1::/48"], true],
    // Never, whatever is stated.
    ["169.254.169.254", ["169.254.169.254", "169.254.0.0/16", "0.0.0.0/0"], false],
    ["169.254.1.1", ["169.254.0.0/16"], false],
    ["fe80::1", ["fe80::/10"], false],
    ["fd00:ec2::254", ["fd00::/8"], false],
    ["168.63.129.16", ["168.63.129.16"], false],
    ["2002:a9fe:a9fe::", ["2002::/16"], false],
    ["0.0.0.0", ["0.0.0.0", "0.0.0.0/0"], false],
    ["::", ["::/0"], false],
    ["64:ff9b::", ["64:ff9b::/96"], false],
    // Ranges that are none state nothing.
    ["10.0.0.1", ["10.0.0.1/8", "nonsense", "10/8"], false],
    ["localhost", ["0.0.0.0/0", "::/0"], false],
  ] as const)("%s with %j: %s", (address, ranges, ok) => {
    expect(mayDial(address, ranges).ok).toBe(ok);
  });

  test("a refusal names the class", () => {
    expect(mayDial("2002:7f00:1::", [])).toEqual({ ok: false, class: "loopback" });
  });
});

describe("ranges", () => {
  test.each(["10.0.0.0/8", "0.0.0.0/0", "1.2.3.4/32", "1.2.3.4", "::/0", "fd00::/8", "::1", "2001:DB8::/32"])(
    "%s is one",
    (text) => {
      expect(parseCidr(text)).toBeDefined();
    },
  );

  test.each([
    "",
    "/8",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.0/-1",
    "10.0.0.0/8/8",
    "10.0.0.1/8",
    "10/8",
    "0x0a000000/8",
    "010.0.0.0/8",
    "10.0.0.0./8",
    "fd00::1/8",
    "::/129",
    "[::]/0",
    "::ffff:10.0.0.0/104",
    "example.com",
    "10.0.0.0/ 8",
  ])("%j is none", (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });

  test("a range holds exactly the addresses that share its prefix", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, (1n << 32n) - 1n), fc.bigInt(0n, (1n << 32n) - 1n), fc.nat(32), (a, b, prefix) => {
        const spell = (bits: bigint) => normaliseHost(bits.toString()) ?? "";
        const shift = BigInt(32 - prefix);
        const range = parseCidr(`${spell((a >> shift) << shift)}/${prefix}`);
        expect(range).toBeDefined();
        if (range === undefined) return;
        expect(cidrContains(range, spell(a))).toBe(true);
        expect(cidrContains(range, spell(b))).toBe(a >> shift === b >> shift);
        expect(cidrContains(range, `::ffff:${spell(a)}`)).toBe(true);
        expect(cidrContains(range, `64:ff9b::${spell(a)}`)).toBe(false);
        expect(cidrContains(range, "example.com")).toBe(false);
      }),
    );
  });
});
