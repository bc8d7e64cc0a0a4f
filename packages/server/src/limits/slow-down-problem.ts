import { Problem } from "@gatehouse/core";

/** A refusal for a time. */
export class SlowDownProblem extends Problem {
  readonly retryAfterMs: number;

  constructor(code: "auth.slow_down" | "server.busy", retryAfterMs: number) {
    super(code);
    this.retryAfterMs = retryAfterMs;
  }
}
