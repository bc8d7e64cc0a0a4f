import { createHash } from "node:crypto";
import { type FakeApi, openFakeApi, sendJson } from "./fake-api.ts";
import type { LoopbackPlace } from "./loopback-server.ts";
import { packTar, sendBytes } from "./packed-files.ts";
import type { TestAuthority } from "./test-authority.ts";

export interface FakeNpmRegistryOptions {
  readonly authority: TestAuthority;
  /** The whole `Authorization` value; any other gets 401. */
  readonly expects: string;
  /** `https://name` by which clients reach it; the port is added. */
  readonly origin: string;
  readonly at?: LoopbackPlace | undefined;
}

const NAME = "left-gate";
const VERSION = "1.2.3";
const TARBALL_PATH = `/${NAME}/-/${NAME}-${VERSION}.tgz`;

/**
 * A registry that holds one package, `left-gate@1.2.3`, whose `index.js` exports `"left-gate works"`, and takes what is
 * published without keeping it.
 */
export async function openFakeNpmRegistry(options: FakeNpmRegistryOptions): Promise<FakeApi> {
  const tarball = await packPackage();
  const api: FakeApi = await openFakeApi({
    authority: options.authority,
    expects: options.expects,
    at: options.at,
    respond: ({ method, url }, response) => {
      if (method === "PUT") sendJson(response, 201, { ok: true });
      else if (url === `/${NAME}`) sendJson(response, 200, describePackage(`${options.origin}:${api.port}`, tarball));
      else if (url === TARBALL_PATH) sendBytes(response, tarball);
      else sendJson(response, 404, { error: "not found" });
      return true;
    },
  });
  return api;
}

function packPackage(): Promise<Buffer> {
  return packTar({
    "package/package.json": JSON.stringify({ name: NAME, version: VERSION }),
    "package/index.js": `module.exports = "${NAME} works";\n`,
  });
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
