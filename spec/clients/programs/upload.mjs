import { createHash } from "node:crypto";
import { Readable } from "node:stream";

const text = Array.from({ length: 400_000 }, (_, index) => `${index + 1}\n`).join("");

/** 2.7 MB in parts. */
export const openUpload = () => Readable.from(text.match(/[\d\n]{1,65536}/g) ?? []);

/** Throws unless the service read what was sent. */
export function checkUpload({ sha256 }) {
  if (sha256 !== createHash("sha256").update(text).digest("hex")) throw new Error("the upload arrived changed");
}

/** Stays until the end of the input, so that the memory can be searched. */
export function staySearchable() {
  console.log("searchable");
  process.stdin.resume();
}
