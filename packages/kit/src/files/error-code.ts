/** The system's code of a failed call (`ENOENT`), or the error's name where it has none. */
export function errorCode(failure: unknown): string {
  if (!(failure instanceof Error)) return "unknown";
  return "code" in failure && typeof failure.code === "string" ? failure.code : failure.name;
}
