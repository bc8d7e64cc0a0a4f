import type { Server, Socket } from "node:net";

/**
 * The file descriptor below a socket or listening server, or `undefined` once it is closed. Node keeps it in an
 * undocumented place (`_handle.fd`); this is the only file that looks there.
 */
export function socketDescriptor(socket: Socket | Server): number | undefined {
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } | null };
  const descriptor = handle?.fd;
  return descriptor !== undefined && descriptor >= 0 ? descriptor : undefined;
}
