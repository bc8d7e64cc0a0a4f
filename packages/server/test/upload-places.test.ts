import { expect, test } from "vitest";
import { UploadPlaces } from "../src/reports/upload-places.ts";

const refused = expect.objectContaining({ code: "uploads.too_much" });

test("a node, an organisation and all of them have so many places, and get them back", () => {
  const places = new UploadPlaces({ ofNode: 1, ofOrg: 2, inAll: 3 });
  const first = places.take({ orgId: "a", nodeId: "a1" });
  expect(() => places.take({ orgId: "a", nodeId: "a1" })).toThrow(refused);
  places.take({ orgId: "a", nodeId: "a2" });
  expect(() => places.take({ orgId: "a", nodeId: "a3" })).toThrow(refused);
  places.take({ orgId: "b", nodeId: "b1" });
  expect(() => places.take({ orgId: "c", nodeId: "c1" })).toThrow(refused);
  first[Symbol.dispose]();
  expect(() => places.take({ orgId: "a", nodeId: "a2" })).toThrow(refused);
  using _ = places.take({ orgId: "a", nodeId: "a1" });
});
