/** One figure of a benchmark, with the bound it should hold where there is one. */
export interface Row {
  readonly case: string;
  readonly value: number;
  readonly unit: string;
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** Whether the figure holds its bound; figures without one always do. */
export function holds({ value, atMost, atLeast }: Row): boolean {
  return (atMost === undefined || value <= atMost) && (atLeast === undefined || value >= atLeast);
}
