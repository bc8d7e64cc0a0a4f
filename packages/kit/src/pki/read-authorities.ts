import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Problem } from "@gatehouse/core";
import { errorCode } from "../files/error-code.ts";

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

export interface Authorities {
  readonly pem: string;
  readonly certificates: readonly X509Certificate[];
}

/** The authorities of a PEM file, at least one. Fails with `config.invalid`, naming the file and what is wrong. */
export async function readAuthorities(path: string): Promise<Authorities> {
  let pem: string;
  let certificates: readonly X509Certificate[];
  try {
    pem = await readFile(path, "utf8");
    certificates = (pem.match(PEM) ?? []).map((block) => new X509Certificate(block));
  } catch (cause) {
    throw new Problem("config.invalid", {
      detail: `${path} cannot be read as certificates (${errorCode(cause)}).`,
      cause,
    });
  }
  if (certificates.length === 0) throw new Problem("config.invalid", { detail: `${path} holds no certificate.` });
  return { pem, certificates };
}
