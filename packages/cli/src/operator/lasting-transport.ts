import type { Transport } from "@connectrpc/connect";
import type { ServerChannel } from "@gatehouse/kit";

/**
 * Calls over one verified connection, opened before it is there. A server closes a connection on which nothing was
 * called for a minute, as where a person was asked meanwhile: the next call opens another one. A call that was under way
 * when its connection broke fails: nobody knows whether it was done.
 */
export async function openLastingTransport(open: () => Promise<ServerChannel>): Promise<Transport & Disposable> {
  let current: Promise<ServerChannel> | undefined;
  let channel: ServerChannel | undefined;
  const openOne = async () => {
    const opened = await open();
    channel = opened;
    void opened.closed.then(() => {
      if (channel === opened) current = undefined;
    });
    return opened;
  };
  const reach = () => {
    current ??= openOne().catch((failure: unknown) => {
      current = undefined;
      throw failure;
    });
    return current;
  };
  await reach();
  return {
    unary: async (...call) => (await reach()).transport.unary(...call),
    stream: async (...call) => (await reach()).transport.stream(...call),
    [Symbol.dispose]: () => channel?.[Symbol.dispose](),
  };
}
