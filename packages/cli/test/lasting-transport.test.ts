import { createClient, createRouterTransport } from "@connectrpc/connect";
import { Problem } from "@gatehouse/core";
import type { ServerChannel } from "@gatehouse/kit";
import { NodeAdminService } from "@gatehouse/wire";
import { expect, test } from "vitest";
import { openLastingTransport } from "../src/operator/lasting-transport.ts";

/** A server whose connections are numbered: each answers with its number, once it was opened. */
class Connections {
  readonly closed: number[] = [];
  opened = 0;
  isAway = false;
  #close: () => void = () => undefined;

  readonly open = async (): Promise<ServerChannel> => {
    if (this.isAway) throw new Problem("server.unreachable");
    this.opened += 1;
    const number = this.opened;
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    this.#close = resolve;
    const transport = createRouterTransport(({ service }) => {
      service(NodeAdminService, { getNode: () => ({ enrollmentId: `${number}` }) });
    });
    const dispose = () => void this.closed.push(number);
    return { transport, closed, postForm: () => expect.fail("no form"), [Symbol.dispose]: dispose };
  };

  /** The server closes the last one that was opened. */
  async close(): Promise<void> {
    this.#close();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("calls go over one connection, and over another once that is closed", async () => {
  const server = new Connections();
  {
    using transport = await openLastingTransport(server.open);
    expect(server.opened).toBe(1);
    const client = createClient(NodeAdminService, transport);
    const ask = async () => (await client.getNode({ node: "n1" })).enrollmentId;
    expect([await ask(), await ask()]).toEqual(["1", "1"]);
    await server.close();
    expect(await Promise.all([ask(), ask()])).toEqual(["2", "2"]);
    await server.close();
    server.isAway = true;
    await expect(ask()).rejects.toMatchObject({ code: "server.unreachable" });
    server.isAway = false;
    expect(await ask()).toBe("3");
  }
  expect(server.closed).toEqual([3]);
});
