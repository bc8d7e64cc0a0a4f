interface Call<P, R> {
  readonly params: P;
  readonly result: R;
}

export interface ChildCalls {
  readonly echo: Call<unknown, unknown>;
  readonly askBack: Call<string, string>;
  readonly refuse: Call<null, null>;
  readonly crash: Call<null, null>;
  readonly hang: Call<null, null>;
  readonly countAborted: Call<null, number>;
  readonly giveFunction: Call<null, null>;
  readonly block: Call<number, null>;
  readonly exit: Call<null, null>;
}

export interface ChildNotes {
  readonly noted: string;
}

export interface ParentCalls {
  readonly shout: Call<string, string>;
}

export interface ParentNotes {
  readonly heard: string;
}
