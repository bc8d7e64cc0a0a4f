import { systemRandom } from "@gatehouse/core";
import { expect, test } from "vitest";
import { type SendTransaction, sendCommand } from "../src/commands/send-command.ts";

const OWNER = { role: "owner" };

test("a command for more nodes than a batch reaches is refused, and stored for none of them", async () => {
  const list = async ({ limit }: { readonly limit: number }) =>
    Array.from({ length: Math.min(limit, 20_000) }, (_, at) => ({ id: `n${at}`, state: "confirmed" }));
  // Whatever else it touched would not be there.
  const right = { members: { hold: async () => OWNER }, apiKeys: { hold: async () => OWNER } };
  const tx = { ...right, nodes: { list }, now: () => 0 } as unknown as SendTransaction;
  const by = { actor: "operator:ada", memberId: "m", authority: "key:k" } as const;
  const asked = { ...by, payload: new Uint8Array(), kind: "ping", idempotencyKey: "k", ttlMs: 1_000 };
  const sent = sendCommand(tx, { ...asked, targets: { labels: { fleet: "large" } } }, systemRandom);
  await expect(sent).rejects.toMatchObject({
    code: "api.too_many",
    detail: "More than 10000 nodes have these labels.",
  });
});
