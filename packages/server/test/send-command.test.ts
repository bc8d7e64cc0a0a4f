import { systemRandom } from "@gatehouse/core";
import { expect, test } from "vitest";
import { type SendTransaction, sendCommand } from "../src/commands/send-command.ts";

test("a command for more nodes than a batch reaches is refused, and stored for none of them", async () => {
  const list = async ({ limit }: { readonly limit: number }) =>
    Array.from({ length: Math.min(limit, 20_000) }, (_, at) => ({ id: `n${at}`, state: "confirmed" }));
  // Whatever else it touched would not be there.
  const tx = { nodes: { list }, now: () => 0 } as unknown as SendTransaction;
  const asked = { actor: "operator:ada", payload: new Uint8Array(), kind: "ping", idempotencyKey: "k", ttlMs: 1_000 };
  const sent = sendCommand(tx, { ...asked, targets: { labels: { fleet: "large" } } }, systemRandom);
  await expect(sent).rejects.toMatchObject({
    code: "api.too_many",
    detail: "More than 10000 nodes have these labels.",
  });
});
