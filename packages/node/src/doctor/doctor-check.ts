/** One thing that was tried for real. */
export interface DoctorCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  /** What a person can do about it. */
  readonly fix?: string;
  /** False where Gatehouse does without: another driver works, no daemon was started yet. */
  readonly isNeeded: boolean;
  /** Whether this host cannot do it, or what stands on it is not in order. */
  readonly concerns: "host" | "setup";
}

type Concern = Pick<DoctorCheck, "name" | "concerns"> & Partial<Pick<DoctorCheck, "isNeeded">>;

export function passed(about: Concern, detail: string): DoctorCheck {
  return { isNeeded: true, ...about, ok: true, detail };
}

export function failed(about: Concern, detail: string, fix: string): DoctorCheck {
  return { isNeeded: true, ...about, ok: false, detail, fix };
}
