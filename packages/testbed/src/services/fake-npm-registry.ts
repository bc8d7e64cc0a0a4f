import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProcess } from "../system/run-process.ts";
import { type FakeApi, openFakeApi, sendJson } from "./fake-api.ts";
import type { TestAuthority } from "./test-authority.ts";

export interface FakeNpmRegistryOptions {
  readonly authority: TestAuthority;
  /** The whole `Authorization` value; any other gets 401. */
  readonly expects: string;
  /** `https://name` by which clients reach it; the port is added. */
  readonly origin: string;
}

const NAME = "left-gate";
const VERSION = "1.2.3";
const TARBALL_PATH = `/${NAME}/-/${NAME}-${VERSION}.tgz`;

/** A registry that holds one package, `left-gate@1.2.3`, whose `index.js` exports `"left-gate works"`. */
export async function openFakeNpmRegistry(options: FakeNpmRegistryOptions): Promise<FakeApi> {
  const tarball = await packPackage();
  const api: FakeApi = await openFakeApi({
    authority: options.authority,
    expects: options.expects,
    respond: ({ url }, response) => {
      if (url === `/${NAME}`) sendJson(response, 200, describePackage(`${options.origin}:${api.port}`, tarball));
      else if (url === TARBALL_PATH) sendTarball(response, tarball);
      else sendJson(response, 404, { error: "not found" });
      return true;
    },
  });
  return api;
}

async function packPackage(): Promise<Buffer> {
  const root = await mkdtemp(join(tmpdir(), "fake-npm-"));
  try {
    await mkdir(join(root, "package"));
    await writeFile(join(root, "package/package.json"), JSON.stringify({ name: NAME, version: VERSION }));
    await writeFile(join(root, "package/index.js"), `module.exports = "${NAME} works";\n`);
    const packed = await runProcess("tar", ["-czf", join(root, "p.tgz"), "-C", root, "package"]);
    if (packed.code !== 0) throw new Error(`tar: ${packed.stderr}`);
    return await readFile(join(root, "p.tgz"));
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

function describePackage(origin: string, tarball: Buffer): unknown {
  const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
  const dist = { tarball: `${origin}${TARBALL_PATH}`, integrity };
  return {
    name: NAME,
    "dist-tags": { latest: VERSION },
    versions: { [VERSION]: { name: NAME, version: VERSION, dist } },
  };
}

function sendTarball(response: ServerResponse, tarball: Buffer): void {
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": tarball.length });
  response.end(tarball);
}
