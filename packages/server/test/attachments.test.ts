import { expect, test } from "vitest";
import { Attachments } from "../src/rpc/streams/attachments.ts";

const key = (id: string, memberId: string, orgId = "acme") => ({
  id,
  orgId,
  memberId,
  nodeId: "n1",
  runId: `run-${id}`,
  wantsInput: false,
});
const tooMany = expect.objectContaining({ code: "api.too_many" });

test("no member has all places of the organisation, no organisation those of another, and each gets theirs back", () => {
  const attachments = new Attachments();
  const own = Array.from({ length: 16 }, (_, at) => attachments.add(key(`ada-${at}`, "ada")));
  expect(() => attachments.add(key("ada-16", "ada"))).toThrow(tooMany);
  for (const member of ["bob", "carl", "dora"]) {
    for (let at = 0; at < 16; at += 1) attachments.add(key(`${member}-${at}`, member));
  }
  expect(() => attachments.add(key("eve-0", "eve"))).toThrow(tooMany);
  attachments.add(key("other-0", "eve", "other"));
  for (const one of own.slice(0, 1)) attachments.remove(one);
  attachments.add(key("ada-17", "ada"));
  expect(() => attachments.add(key("ada-18", "ada"))).toThrow(tooMany);
});

test("who takes over a run's input needs no place beside the one that they take", () => {
  const attachments = new Attachments();
  for (let at = 0; at < 16; at += 1) attachments.add({ ...key(`a-${at}`, "ada"), wantsInput: true });
  attachments.add({ ...key("again", "ada"), runId: "run-a-3", wantsInput: true });
  expect(() => attachments.add({ ...key("a-16", "ada"), wantsInput: true })).toThrow(tooMany);
});
