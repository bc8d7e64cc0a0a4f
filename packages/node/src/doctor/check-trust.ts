import { getCACertificates } from "node:tls";
import { toProblem } from "@gatehouse/core";
import { type Config, readAuthorities } from "@gatehouse/kit";
import { type DoctorCheck, failed, passed } from "./doctor-check.ts";

/** What the gate trusts when it connects outwards: the system's roots and the file of `gate.upstreamCa`. */
export async function checkTrust({ gate }: Config): Promise<readonly DoctorCheck[]> {
  return [checkRoots(), ...(gate.upstreamCa === undefined ? [] : [await checkUpstreamCa(gate.upstreamCa)])];
}

function checkRoots(): DoctorCheck {
  const about = { name: "trust-store", concerns: "host" } as const;
  const system = getCACertificates("system").length;
  const bundled = getCACertificates("bundled").length;
  return passed(about, `${system} roots of this system, ${bundled} of Node.js`);
}

async function checkUpstreamCa(path: string): Promise<DoctorCheck> {
  const about = { name: "upstream-ca", concerns: "setup" } as const;
  const fix = "Correct gate.upstreamCa (GATEHOUSE_UPSTREAM_CA): a PEM file with the authority's certificate.";
  try {
    const { certificates } = await readAuthorities(path);
    const expired = certificates.find(({ validToDate }) => validToDate < new Date());
    if (expired === undefined) return passed(about, `${path}: certificates of ${certificates.length} authorities`);
    return failed(about, `${path}: ${expired.subject} has expired`, "Ask for the authority's new certificate.");
  } catch (failure) {
    return failed(about, toProblem(failure).detail ?? "", fix);
  }
}
