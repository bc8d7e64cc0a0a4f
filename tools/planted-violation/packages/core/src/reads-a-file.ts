// Breaks `core-is-pure` on purpose: tools/check.mjs fails when the structure check does not report this file.
import { readFileSync } from "node:fs";

export const planted = readFileSync;
