import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { base64url } from "@gatehouse/core";
import { expect, test } from "vitest";
import { openSigningKey } from "../../src/keys/signing-key.ts";

test("a key that is made begins with no hyphen as text, which a command line would take for an option", async () => {
  const directory = await mkdtemp(join(tmpdir(), "gatehouse-keys-"));
  try {
    const made = Array.from({ length: 128 }, (_, at) => openSigningKey(join(directory, `${at}.key`)));
    const texts = (await Promise.all(made)).map(({ publicKey }) => base64url(publicKey));
    expect(texts.filter((text) => text.startsWith("-"))).toEqual([]);
    expect(new Set(texts).size).toBe(128);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
