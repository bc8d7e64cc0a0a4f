import { PROBLEMS, type ProblemCode } from "@gatehouse/core";

/** Whether a code that came from another process stands in this version's table. */
export function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(PROBLEMS, code);
}
