import { createHash } from "node:crypto";
import { type FakeApi, openFakeApi, sendJson } from "./fake-api.ts";
import { packTar, sendBytes } from "./packed-files.ts";
import type { TestAuthority } from "./test-authority.ts";

export interface FakeCargoRegistryOptions {
  readonly authority: TestAuthority;
  /** The whole `Authorization` value; any other gets 401. */
  readonly expects: string;
  /** `https://name` by which clients reach it; the port is added. */
  readonly origin: string;
}

const NAME = "left-gate";
const VERSION = "1.2.3";
const INDEX_PATH = `/index/le/ft/${NAME}`;
const CRATE_PATH = `/crates/${NAME}/${VERSION}`;

/** A sparse registry at `/index/` that holds one crate, `left-gate@1.2.3`, with `pub const SAYS: &str`. */
export async function openFakeCargoRegistry(options: FakeCargoRegistryOptions): Promise<FakeApi> {
  const crate = await packTar({
    [`${NAME}-${VERSION}/Cargo.toml`]: `[package]\nname = "${NAME}"\nversion = "${VERSION}"\nedition = "2018"\n`,
    [`${NAME}-${VERSION}/src/lib.rs`]: `pub const SAYS: &str = "${NAME} works";\n`,
  });
  const api: FakeApi = await openFakeApi({
    authority: options.authority,
    expects: options.expects,
    respond: ({ url }, response) => {
      const dl = `${options.origin}:${api.port}/crates/{crate}/{version}`;
      if (url === "/index/config.json") sendJson(response, 200, { dl });
      else if (url === INDEX_PATH) sendJson(response, 200, describeCrate(crate));
      else if (url === CRATE_PATH) sendBytes(response, crate);
      else sendJson(response, 404, { error: "not found" });
      return true;
    },
  });
  return api;
}

/** One line of the index. */
function describeCrate(crate: Buffer): unknown {
  const cksum = createHash("sha256").update(crate).digest("hex");
  return { name: NAME, vers: VERSION, deps: [], cksum, features: {}, yanked: false };
}
