/** Unix milliseconds. */
export type Time = number;

/** What every row of an organisation begins with. */
export interface Tenant {
  readonly org_id: string;
  readonly created_at: Time;
  readonly updated_at: Time;
}
