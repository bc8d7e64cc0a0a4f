import { PassThrough } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { describe, expect, test } from "vitest";
import { ArrivingMessages } from "../src/rpc/plain-grpc/arriving-messages.ts";

const MAX_BYTES = 100_000;

function arriving() {
  const request = new PassThrough();
  const held: number[] = [];
  const bounds = { maxBytes: MAX_BYTES, held: { set: (bytes: number) => held.push(bytes), release: () => undefined } };
  const messages = new ArrivingMessages(request, bounds, (envelope) => envelope.subarray(5).toString());
  return { request, held, messages };
}

const text = (value: string) => encodeEnvelope(0, Buffer.from(value));
const malformed = expect.objectContaining({ code: "api.malformed" });

describe("messages of a plain stream", () => {
  test("come in order, however they are cut into frames, and end with the request", async () => {
    const { request, held, messages } = arriving();
    const all = Array.fromAsync(messages);
    for (const byte of Buffer.concat([text("one"), text("")])) request.write(Uint8Array.of(byte));
    request.end(Buffer.concat([text("three"), text("four")]));
    expect(await all).toEqual(["one", "", "three", "four"]);
    expect(held.at(-1)).toBe(0);
  });

  test("are not read before somebody asks, and wait with their caller while nobody does", async () => {
    const { request, messages } = arriving();
    request.write(text("x".repeat(20_000)));
    await turn();
    expect(request.readableFlowing).toBe(null);
    expect((await messages.next()).value).toHaveLength(20_000);
    request.write(text("y".repeat(20_000)));
    request.write(text("z"));
    await turn();
    expect(request.isPaused()).toBe(true);
    expect((await messages.next()).value).toHaveLength(20_000);
    expect(await messages.next()).toEqual({ done: false, value: "z" });
  });

  test.each([
    { what: "a message that is cut off", end: (request: PassThrough) => request.end(text("one").subarray(0, 7)) },
    { what: "a connection that broke", end: (request: PassThrough) => request.destroy() },
  ])("fail with $what, for whoever waits and from then on", async ({ end }) => {
    const { request, messages } = arriving();
    const next = messages.next();
    end(request);
    await expect(next).rejects.toEqual(malformed);
    await expect(messages.next()).rejects.toEqual(malformed);
  });

  test("fail with a message over the limit as soon as it says so", async () => {
    const { request, messages } = arriving();
    request.write(Uint8Array.of(0, 0, 0x02, 0, 0));
    await expect(messages.next()).rejects.toThrow("larger than allowed");
  });

  test("are let go of once their reader wants no more", async () => {
    const { request, held, messages } = arriving();
    request.write(text("one"));
    await messages.next();
    await messages.return();
    const before = held.length;
    request.write(text("two"));
    await turn();
    expect(held).toHaveLength(before);
  });
});
