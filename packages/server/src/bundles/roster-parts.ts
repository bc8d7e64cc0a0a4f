import { describeRoster, rosterPart, type SignedRoster } from "@gatehouse/kit";
import type { RosterRecords } from "../orgs/roster-records.ts";
import { type HashedPart, hashPart } from "./hashed-part.ts";

interface RosterTransaction {
  readonly orgId: string;
  readonly roster: RosterRecords;
}

/** Beyond it the organisation that was asked for first is forgotten. */
const MAX_REMEMBERED_BYTES = 64 * 1_048_576;

/**
 * The newest roster of each organisation as a part of bundles. It is the same for all nodes and names every one of them:
 * it is written and hashed once for each version, not once for each node.
 */
export class RosterParts {
  readonly #parts = new Map<string, { readonly mark: string; readonly part: HashedPart }>();
  #bytes = 0;

  async newest({ orgId, roster }: RosterTransaction): Promise<HashedPart | undefined> {
    const head = await roster.newestHead();
    if (head === undefined) return undefined;
    const mark = markOf(head);
    const known = this.#parts.get(orgId);
    if (known?.mark === mark) return known.part;
    const document = await roster.newest();
    if (document === undefined) return undefined;
    const part = hashPart(rosterPart(describeRoster(document)));
    this.#remember(orgId, { mark: markOf(document), part });
    return part;
  }

  #remember(orgId: string, entry: { readonly mark: string; readonly part: HashedPart }): void {
    this.#forget(orgId);
    this.#parts.set(orgId, entry);
    this.#bytes += entry.part.content.length;
    for (const oldest of this.#parts.keys()) {
      if (this.#bytes <= MAX_REMEMBERED_BYTES) break;
      this.#forget(oldest);
    }
  }

  #forget(orgId: string): void {
    this.#bytes -= this.#parts.get(orgId)?.part.content.length ?? 0;
    this.#parts.delete(orgId);
  }
}

/** A version that comes with a database that was put back may be another one under the same number. */
function markOf({ version, issuedAt }: Pick<SignedRoster, "version" | "issuedAt">): string {
  return `${version} ${issuedAt}`;
}
