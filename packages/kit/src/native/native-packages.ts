import { createRequire } from "node:module";
import { dirname } from "node:path";

/** Where the packages behind `native` are on this machine, by the names under which they find one another. */
export function nativePackages(): ReadonlyMap<string, string> {
  const koffi = createRequire(import.meta.url).resolve("koffi");
  const compiled = `@koromix/koffi-${process.platform}-${process.arch}`;
  return new Map([
    ["koffi", dirname(koffi)],
    [compiled, dirname(createRequire(koffi).resolve(compiled))],
  ]);
}
