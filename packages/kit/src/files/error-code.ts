import { getSystemErrorMessage } from "node:util";

/** Why a call of the system failed, as people and searches read it: `no such file or directory (ENOENT)`. */
export function systemReason(failure: unknown): string {
  const isNumbered = failure instanceof Error && "errno" in failure && typeof failure.errno === "number";
  const words = isNumbered ? getSystemErrorMessage(failure.errno as number) : undefined;
  return words === undefined ? errorCode(failure) : `${words} (${errorCode(failure)})`;
}

/** The system's code of a failed call (`ENOENT`), or the error's name where it has none. */
export function errorCode(failure: unknown): string {
  if (!(failure instanceof Error)) return "unknown";
  return "code" in failure && typeof failure.code === "string" ? failure.code : failure.name;
}
