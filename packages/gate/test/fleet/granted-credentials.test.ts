import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseResourceName, systemClock } from "@gatehouse/core";
import { expect, test } from "vitest";
import { CredentialStore } from "../../src/credentials/credential-store.ts";
import { openNodeKey } from "../../src/credentials/node-key.ts";
import { AllCredentials } from "../../src/fleet/granted-credentials.ts";
import { HostileServer, VALUE } from "./hostile-server.ts";

test("a name that the node has of its own stays its own, and says so, until that one is gone", async () => {
  await using server = await HostileServer.open();
  const vault = await server.openVault();
  const folder = join(server.directory, "credentials");
  await mkdir(folder, { mode: 0o700 });
  const own = await CredentialStore.open(folder, await openNodeKey(server.directory), systemClock);
  const all = new AllCredentials(own, vault);
  const bindings = [{ hosts: ["own.example.com"], header: "authorization", format: "Bearer {value}" }];
  await own.add({ name: parseResourceName("gh"), service: undefined, bindings, value: "planted-own" });
  await vault.apply(await server.bundle(server.parts([await server.seal("gh"), await server.seal("other")])));
  expect(all.hidden).toEqual(["gh"]);
  expect(all.require("gh")).toMatchObject({ origin: "node", bindings });
  expect((await all.reveal("gh")).reveal()).toBe("planted-own");
  expect(all.list().map(({ name, origin }) => `${name} ${origin}`)).toEqual(["gh node", "other organisation"]);
  await own.remove("gh");
  expect(all.hidden).toEqual([]);
  expect((await all.reveal("gh")).reveal()).toBe(VALUE);
  const strange = await server.seal("strange", { signer: server.stranger });
  await vault.apply(await server.bundle(server.parts([strange, await server.seal("other", { version: 2 })])));
  expect(() => all.require("strange")).toThrow(
    expect.objectContaining({
      code: "grants.not_found",
      detail: expect.stringContaining("strange is not served on this node"),
    }),
  );
  expect(() => all.require("unknown")).toThrow(expect.objectContaining({ code: "grants.not_found" }));
  expect(all.require("other")).toMatchObject({ version: 2, origin: "organisation" });
});
