import type { Page } from "../page.ts";
/** A sealed credential: ciphertext that the server cannot open, and what an operator bound it to. */
export interface Credential {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly kind: string;
  /** RFC 8785 JSON, as it was signed. */
  readonly bindings: string;
  /** JWE in general JSON. */
  readonly jwe: string;
  readonly signer: Uint8Array;
  readonly signature: Uint8Array;
  /** A node that could open it was revoked since. */
  readonly isRotationPending: boolean;
  readonly updatedAt: number;
}

/** The live credentials of the organisation inside one transaction. */
export interface CredentialRecords {
  list(page?: Page): Promise<readonly Credential[]>;
  /** Their names by id: without what each holds. */
  names(): Promise<ReadonlyMap<string, string>>;
  findByName(name: string): Promise<Credential | undefined>;
  /** Whether the id was ever used, by a credential that was taken back too. */
  isKnown(id: string): Promise<boolean>;
  listOfNode(nodeId: string): Promise<readonly Credential[]>;
  nodeIdsOf(id: string): Promise<readonly string[]>;
  /** Stores a version in place of the one before. Fails with `credentials.conflict` when another call took the name. */
  put(credential: Omit<Credential, "updatedAt">, nodeIds: readonly string[]): Promise<void>;
  /** Takes a node off every credential and marks those. Answers them. */
  markRotationPending(nodeId: string): Promise<readonly Credential[]>;
  /** Forgets the ciphertext and frees the name; the id stays used. */
  remove(id: string): Promise<void>;
}
