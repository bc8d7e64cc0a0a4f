import { createHash, X509Certificate } from "node:crypto";
import { rootCertificates } from "node:tls";
import { expect, test } from "vitest";
import { javaTrustStore } from "../src/runs/java-trust-store.ts";

/** Reads a key store by the format's description: entries from front to back, the checksum over all before it. */
function readStore(store: Buffer) {
  let at = 0;
  const take = (length: number) => {
    at += length;
    return store.subarray(at - length, at);
  };
  const number = () => take(4).readUInt32BE();
  const text = () => take(take(2).readUInt16BE()).toString("latin1");
  const [magic, version, count] = [number(), number(), number()];
  const entries = Array.from({ length: count }, () => {
    const tag = number();
    const alias = text();
    take(8);
    return { tag, alias, type: text(), certificate: new X509Certificate(take(number())) };
  });
  const content = store.subarray(0, at);
  const salted = [Buffer.from("\0c\0h\0a\0n\0g\0e\0i\0t"), Buffer.from("Mighty Aphrodite"), content];
  const isWhole = createHash("sha1").update(Buffer.concat(salted)).digest().equals(store.subarray(at));
  return { magic, version, entries, isWhole };
}

test("a Java trust store holds every certificate as trusted, each under a name of its own, and its checksum", () => {
  const certificates = rootCertificates.slice(0, 5);
  const { magic, version, entries, isWhole } = readStore(javaTrustStore([...certificates, ""]));
  expect([magic, version, isWhole]).toEqual([0xfeedfeed, 2, true]);
  expect(entries.map(({ tag, type }) => [tag, type])).toEqual(certificates.map(() => [2, "X.509"]));
  expect(new Set(entries.map(({ alias }) => alias)).size).toBe(certificates.length);
  expect(entries.map(({ certificate }) => certificate.fingerprint256)).toEqual(
    certificates.map((pem) => new X509Certificate(pem).fingerprint256),
  );
});

test("equal certificates make equal stores", () => {
  const certificates = rootCertificates.slice(0, 2);
  expect(javaTrustStore(certificates).equals(javaTrustStore(certificates))).toBe(true);
});
