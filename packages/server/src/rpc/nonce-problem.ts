import { Problem } from "@gatehouse/core";

/** A refusal of a node's call that carries the nonce for the next attempt. */
export class NonceProblem extends Problem {
  readonly nonce: string;

  constructor(problem: Problem, nonce: string) {
    super(problem.code, { cause: problem });
    this.nonce = nonce;
  }
}
