import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { type FakeApi, openFakeApi, sendJson } from "./fake-api.ts";
import { packZip, sendBytes } from "./packed-files.ts";
import type { TestAuthority } from "./test-authority.ts";

export interface FakePypiOptions {
  readonly authority: TestAuthority;
  /** The whole `Authorization` value; any other gets 401. */
  readonly expects: string;
}

const PROJECT = "left-gate";
const MODULE = "left_gate";
const VERSION = "1.2.3";
const WHEEL = `${MODULE}-${VERSION}-py3-none-any.whl`;

/** A package index (PEP 503) at `/simple/` that holds one project, `left-gate` 1.2.3, whose module has `SAYS`. */
export async function openFakePypi({ authority, expects }: FakePypiOptions): Promise<FakeApi> {
  const wheel = await packWheel();
  return openFakeApi({
    authority,
    expects,
    respond: ({ url }, response) => {
      if (url === `/simple/${PROJECT}/`) sendHtml(response, projectPage(wheel));
      else if (url === `/files/${WHEEL}`) sendBytes(response, wheel);
      else sendJson(response, 404, { error: "not found" });
      return true;
    },
  });
}

function packWheel(): Promise<Buffer> {
  const info = `${MODULE}-${VERSION}.dist-info`;
  return packZip({
    [`${MODULE}.py`]: `SAYS = "${PROJECT} works"\n`,
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${PROJECT}\nVersion: ${VERSION}\n`,
    [`${info}/WHEEL`]: "Wheel-Version: 1.0\nGenerator: testbed\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    [`${info}/RECORD`]: `${MODULE}.py,,\n${info}/METADATA,,\n${info}/WHEEL,,\n${info}/RECORD,,\n`,
  });
}

function projectPage(wheel: Buffer): string {
  const hash = createHash("sha256").update(wheel).digest("hex");
  return `<!DOCTYPE html><html><body><a href="/files/${WHEEL}#sha256=${hash}">${WHEEL}</a></body></html>`;
}

function sendHtml(response: ServerResponse, html: string): void {
  response.writeHead(200, { "content-type": "text/html", "content-length": Buffer.byteLength(html) });
  response.end(html);
}
