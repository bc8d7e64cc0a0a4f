import { Problem } from "@gatehouse/core";
import { Attachment, type AttachmentKey } from "./attachment.ts";

/** What one organisation may have open at one replica. */
const MAX_OPEN_OF_ORG = 64;
/** Of these, one member: nobody has all places for themselves. */
const MAX_OPEN_OF_MEMBER = 16;

/** Who is attached to runs at this replica: to nodes whose control streams are here. */
export class Attachments {
  readonly #open = new Map<string, Attachment>();

  /** Who wrote to the same run's input before does so no more. Fails with `api.too_many`. */
  add(key: AttachmentKey): Attachment {
    const ofOrg = [...this.#open.values()].filter((one) => one.key.orgId === key.orgId);
    const before = ofOrg.filter((one) => key.wantsInput && one.key.wantsInput && isSameRun(one.key, key));
    for (const one of before) one.fail(new Problem("runs.taken_over"));
    const left = ofOrg.filter((one) => !before.includes(one));
    const own = left.filter((one) => one.key.memberId === key.memberId);
    if (left.length >= MAX_OPEN_OF_ORG || own.length >= MAX_OPEN_OF_MEMBER) {
      throw new Problem("api.too_many", { detail: "Too many runs are attached to." });
    }
    const attachment = new Attachment(key);
    this.#open.set(key.id, attachment);
    return attachment;
  }

  remove({ key }: Attachment): void {
    this.#open.delete(key.id);
  }

  /** The one that a node's stream is for; another node's is not found. */
  find({ id, orgId, nodeId, runId }: Omit<AttachmentKey, "memberId" | "wantsInput">): Attachment | undefined {
    const found = this.#open.get(id);
    return found?.key.orgId === orgId && isSameRun(found.key, { nodeId, runId }) ? found : undefined;
  }

  /** A node's control stream is gone, and with it what stood in its session. */
  leave(nodeId: string): void {
    for (const one of this.#open.values()) if (one.key.nodeId === nodeId) one.fail(new Problem("runs.away"));
  }
}

function isSameRun(a: Pick<AttachmentKey, "nodeId" | "runId">, b: Pick<AttachmentKey, "nodeId" | "runId">): boolean {
  return a.nodeId === b.nodeId && a.runId === b.runId;
}
