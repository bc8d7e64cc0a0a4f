import { Problem, type ProblemCode } from "@gatehouse/core";

export interface FirstMessage<T, First> {
  /** `undefined`: it is none that a stream begins with. */
  readonly read: (message: T) => First | undefined;
  readonly withinMs: number;
  readonly code: ProblemCode;
}

/** What a stream begins with. Fails with `code` where it does not, or says nothing in time. */
export async function firstMessage<T, First>(
  incoming: AsyncIterator<T>,
  { read, withinMs, code }: FirstMessage<T, First>,
): Promise<First> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Problem(code)), withinMs);
  try {
    const first = await Promise.race([incoming.next(), late.promise]);
    const found = first.done === true ? undefined : read(first.value);
    if (found === undefined) throw new Problem(code);
    return found;
  } finally {
    clearTimeout(timer);
  }
}

/** Acts on what comes after it, one message after the other; `onFault` hears why that ended early. */
export async function takeRest<T>(
  incoming: AsyncIterator<T>,
  take: (message: T) => void | Promise<void>,
  { onEnd, onFault }: { readonly onEnd: () => void; readonly onFault: (failure: unknown) => void },
): Promise<void> {
  try {
    for (let item = await incoming.next(); item.done !== true; item = await incoming.next()) await take(item.value);
    onEnd();
  } catch (failure) {
    onFault(failure);
  }
}
