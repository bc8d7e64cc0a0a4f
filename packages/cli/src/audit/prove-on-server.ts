import {
  auditKeyId,
  canonicalJson,
  constantTimeEqual,
  fromBase64url,
  hashLeaf,
  headBytes,
  type JsonValue,
  Problem,
  readCanonical,
  readEntry,
  readHead,
  rootOfInclusion,
} from "@gatehouse/core";
import { keysFor, sha256, verifySignature } from "@gatehouse/kit";
import { asOperator, type Operator } from "../operator/open-operator.ts";

/** The proof that entry `seq` is in the organisation's log, checked here before it is printed. Fails with `audit.…`. */
export async function proveOnServer(stateDir: string, seq: number): Promise<string> {
  return asOperator(stateDir, async (operator) => {
    const { proof } = await operator.audit.proveAuditEntry({ seq: BigInt(seq) });
    checkProof(readCanonical(proof), operator, seq);
    return proof;
  });
}

function checkProof(proof: { readonly [name: string]: JsonValue }, { server }: Operator, seq: number): void {
  const text = canonicalJson(proof.entry ?? null);
  const entry = readEntry(text);
  const head = readHead(canonicalJson(proof.head ?? null));
  const path = Array.isArray(proof.path) ? proof.path.map((one) => fromBase64url(String(one)) ?? new Uint8Array()) : [];
  const claim = { leafHash: hashLeaf(sha256, text), index: seq, size: head.size, path };
  const root = rootOfInclusion(sha256, claim);
  const key = keysFor(server.keySet, "audit").find((one) => auditKeyId(sha256, one.key) === head.keyId)?.key;
  const holds =
    entry.seq === seq &&
    entry.org === server.orgId &&
    root !== undefined &&
    constantTimeEqual(root, head.root) &&
    key !== undefined &&
    verifySignature(key, headBytes(server.orgId, head), head.signature);
  if (!holds) throw new Problem("audit.tampered", { detail: "The server's proof does not hold." });
}
