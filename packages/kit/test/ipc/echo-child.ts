// The other side of the channel tests.
import { Problem } from "@gatehouse/core";
import { openIpcPeer } from "../../src/index.ts";
import type { ChildCalls, ChildNotes, ParentCalls, ParentNotes } from "./calls.ts";

let aborted = 0;
const peer = openIpcPeer<ChildCalls, ParentCalls, ChildNotes, ParentNotes>(process, {
  echo: (value) => value,
  askBack: async (text): Promise<string> => `child got ${await peer.call("shout", text)}`,
  refuse: () => {
    throw new Problem("grants.not_found", { detail: "Not this one.", cause: new Error("inner secret") });
  },
  crash: () => {
    throw new TypeError("inner secret");
  },
  hang: (_params, { signal }) =>
    new Promise<null>(() => {
      signal.addEventListener("abort", () => {
        aborted += 1;
      });
    }),
  countAborted: () => aborted,
  giveFunction: () => (() => undefined) as unknown as null,
  exit: () => process.exit(7),
  block: (ms) => {
    const end = performance.now() + ms;
    while (performance.now() < end);
    return null;
  },
  noted: (text) => peer.notify("heard", `noted ${text}`),
});
await peer.closed;
