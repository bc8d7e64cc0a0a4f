import { execFile, spawn } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { connect, createServer } from "node:tls";
import { promisify } from "node:util";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { type CertificateAuthority, createCa, mintServerLeaf } from "../../src/index.ts";
import { der, derUnsigned, readElement, readElements } from "../../src/pki/der.ts";
import { ipBytes } from "../../src/pki/ip-bytes.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const run = promisify(execFile);
const HOUR_MS = 3_600_000;
const key = generateKeyPairSync("ec", { namedCurve: "P-256" });
const publicKey = key.publicKey.export({ type: "spki", format: "der" });
const privateKeyPem = key.privateKey.export({ type: "pkcs8", format: "pem" });
const LONG_NAME = `${"a".repeat(60)}.${"b".repeat(60)}.example.com`;
let ca: CertificateAuthority;

beforeAll(async () => {
  ca = await createCa({ commonName: "Gatehouse test CA", days: 365, pathLength: 0 });
});

const mint = (name: string, ttlMs: number = 72 * HOUR_MS) => mintServerLeaf({ ca, name, publicKey, ttlMs });

test.each([
  ["api.github.com", "-verify_hostname"],
  ["xn--mnchen-3ya.example", "-verify_hostname"],
  ["under_score.example.com", "-verify_hostname"],
  [LONG_NAME, "-verify_hostname"],
  ["127.0.0.1", "-verify_ip"],
  ["2001:db8::1", "-verify_ip"],
  ["::ffff:192.0.2.1", "-verify_ip"],
])("openssl accepts a leaf for %s under its strictest rules", async (name, option) => {
  await using place = await temporaryDirectory();
  const [caFile, leafFile] = [join(place.path, "ca.pem"), join(place.path, "leaf.pem")];
  await writeFile(caFile, ca.certificatePem);
  await writeFile(leafFile, await mint(name));
  const args = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", caFile, option, name, leafFile];
  expect((await run("openssl", args)).stdout).toContain("OK");
  const wrong = option === "-verify_ip" ? ["-verify_ip", "127.0.0.9"] : ["-verify_hostname", "other.example"];
  await expect(run("openssl", ["verify", "-CAfile", caFile, ...wrong, leafFile])).rejects.toThrow();
});

test("a leaf says what it should: times, serial, uses, one name, issuer", async () => {
  const leaf = new X509Certificate(await mint("api.example.com"));
  const issuer = new X509Certificate(ca.certificatePem);
  expect(leaf.verify(issuer.publicKey)).toBe(true);
  expect(leaf.checkIssued(issuer)).toBe(true);
  expect(leaf.ca).toBe(false);
  expect(leaf.subjectAltName).toBe("DNS:api.example.com");
  expect(leaf.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  expect(leaf.serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/);
  const now = Date.now();
  expect(Math.abs(leaf.validFromDate.getTime() - (now - 300_000))).toBeLessThan(10_000);
  expect(Math.abs(leaf.validToDate.getTime() - (now + 72 * HOUR_MS))).toBeLessThan(10_000);
  expect(new X509Certificate(await mint("api.example.com")).serialNumber).not.toBe(leaf.serialNumber);
});

test("an authority is strict about itself: constraints, uses, identifiers, no private key beside it", async () => {
  const authority = new X509Certificate(ca.certificatePem);
  expect(authority.ca).toBe(true);
  expect(authority.verify(authority.publicKey)).toBe(true);
  await using place = await temporaryDirectory();
  const file = join(place.path, "ca.pem");
  await writeFile(file, ca.certificatePem);
  const { stdout } = await run("openssl", ["x509", "-noout", "-text", "-in", file]);
  expect(stdout).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
  expect(stdout).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign/);
  expect(stdout).toContain("Subject Key Identifier");
  expect(ca.certificatePem).not.toContain("PRIVATE");
  expect(ca.privateKeyPem).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
});

test("a leaf never outlives its authority, and an expired authority signs nothing", async () => {
  const short = await createCa({ commonName: "short", days: 1, pathLength: 0 });
  const leaf = new X509Certificate(
    await mintServerLeaf({ ca: short, name: "a.example", publicKey, ttlMs: 72 * HOUR_MS }),
  );
  expect(leaf.validToDate).toEqual(new X509Certificate(short.certificatePem).validToDate);
  const expired = await createCa({ commonName: "expired", days: -0.001, pathLength: 0 });
  await expect(mintServerLeaf({ ca: expired, name: "a.example", publicKey, ttlMs: HOUR_MS })).rejects.toThrow(
    RangeError,
  );
});

test.each(["", "a b", "a..b", "-a.example", "ä.example", "a/b", "1.2.3.4:80", "[::1]", `${"a".repeat(64)}.b`, "a\0b"])(
  "no leaf is made for %j",
  async (name) => {
    await expect(mint(name)).rejects.toThrow(RangeError);
  },
);

async function serveTls(name: string) {
  const server = createServer({ key: privateKeyPem, cert: await mint(name) }, (socket) => socket.end("hello"));
  server.on("tlsClientError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, [Symbol.dispose]: () => void server.close() };
}

test("Node's client completes a handshake, and refuses the leaf under another name", async () => {
  using server = await serveTls("service.example");
  const options = { host: "127.0.0.1", port: server.port, ca: ca.certificatePem };
  expect(await text(connect({ ...options, servername: "service.example" }))).toBe("hello");
  const [failure] = await once(
    connect({ ...options, servername: "other.example" }).on("secureConnect", () => expect.unreachable()),
    "error",
  ).catch((error: unknown) => [error]);
  expect(failure).toMatchObject({ code: "ERR_TLS_CERT_ALTNAME_INVALID" });
});

test("Python's client verifies the leaf under VERIFY_X509_STRICT", async () => {
  using server = await serveTls("service.example");
  await using place = await temporaryDirectory();
  const file = join(place.path, "ca.pem");
  await writeFile(file, ca.certificatePem);
  const script = `import socket,ssl,sys
c=ssl.create_default_context(cafile=sys.argv[1]); c.verify_flags|=ssl.VERIFY_X509_STRICT
print(c.wrap_socket(socket.create_connection(("127.0.0.1",int(sys.argv[2]))),server_hostname="service.example").recv(9).decode())`;
  const client = spawn("python3", ["-c", script, file, String(server.port)]);
  const [out, err] = await Promise.all([text(client.stdout), text(client.stderr)]);
  expect(err).toBe("");
  expect(out).toBe("hello\n");
});

test("leaves are minted fast enough for a burst of new hosts", async () => {
  const count = 50;
  let bestMs = Infinity;
  // The best of several: others may keep the machine busy.
  for (let round = 0; round < 8; round += 1) {
    const before = performance.now();
    for (let n = 0; n < count; n += 1) await mint(`h${round}-${n}.example.com`);
    bestMs = Math.min(bestMs, performance.now() - before);
  }
  expect((count * 1_000) / bestMs).toBeGreaterThan(1_000);
});

test("what was written in DER is read back, whatever its length", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 70_000 }), { maxLength: 4 }), (parts) => {
      const whole = der(0x30, ...parts.map((part) => der(0x04, part)));
      expect(readElement(whole).whole).toEqual(whole);
      expect(readElements(readElement(whole).content).map(({ content }) => new Uint8Array(content))).toEqual(parts);
    }),
    { numRuns: 50 },
  );
});

test("numbers in DER are minimal and positive", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 20 }), (bytes) => {
      const { content } = readElement(derUnsigned(bytes));
      expect(BigInt(`0x${content.toString("hex")}`)).toBe(BigInt(`0x${Buffer.from(bytes).toString("hex")}`));
      expect(content[0]).toBeLessThan(0x80);
      if (content.length > 1 && content[0] === 0) expect(content[1]).toBeGreaterThanOrEqual(0x80);
    }),
  );
});

test.each(["3005", "30800000", "3084ffffffff", "3085", "30", "308201", "3003020500"])(
  "DER that leads outside is refused: %s",
  (hex) => {
    expect(() => readElements(readElement(Buffer.from(hex, "hex")).content)).toThrow(RangeError);
  },
);

test("IP addresses become their bytes", () => {
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      const groups = new URL(`http://[${address}]/`).hostname.slice(1, -1);
      expect(ipBytes(address)).toEqual(ipBytes(groups));
      expect(ipBytes(address)).toHaveLength(16);
    }),
  );
  expect(ipBytes("1.2.3.255").toString("hex")).toBe("010203ff");
  expect(ipBytes("::").toString("hex")).toBe("0".repeat(32));
  expect(ipBytes("1::8").toString("hex")).toBe("00010000000000000000000000000008");
  expect(() => ipBytes("example.com")).toThrow(RangeError);
});
