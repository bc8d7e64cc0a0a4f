import { closeSync } from "node:fs";
import type { Libc } from "./libc.ts";

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const MSG_NOSIGNAL = 0x4000;
/** Descriptors that arrive are closed on exec, without a moment in which a child could inherit them. */
const MSG_CMSG_CLOEXEC = 0x40000000;

/** struct msghdr on 64-bit Linux: name, namelen, iov, iovlen, control, controllen, flags. */
const MSGHDR_BYTES = 56;
const CONTROL_POINTER = 32;
const CONTROL_LENGTH = 40;
const FLAGS = 48;
/** struct cmsghdr: length (8), level (4), type (4); data follow, aligned to 8. */
const CMSGHDR_BYTES = 16;
/** Room for more than the one that is expected, so that what else arrives is seen and closed. */
const MAX_DESCRIPTORS = 8;

/** One received message. Every descriptor in it is now this process's to close. */
export interface AncillaryMessage {
  readonly data: Buffer;
  readonly descriptors: readonly number[];
}

/** Sends `data` with one descriptor over a connected Unix socket. Throws `SystemCallError`. */
export function sendWithDescriptor(libc: Libc, socket: number, message: { data: Buffer; descriptor: number }): void {
  const control = Buffer.alloc(CMSGHDR_BYTES + 8);
  control.writeBigUInt64LE(BigInt(CMSGHDR_BYTES + 4), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  control.writeInt32LE(message.descriptor, CMSGHDR_BYTES);
  const header = buildHeader(libc, message.data, control);
  libc.sendmsg(socket, header.bytes, MSG_NOSIGNAL);
}

/**
 * Receives at most `maxBytes` and the descriptors that came with them. Throws `SystemCallError` (`EAGAIN` where the
 * socket does not block and nothing is there); when descriptors were cut off, those that arrived are closed first.
 */
export function receiveWithDescriptors(libc: Libc, socket: number, maxBytes: number): AncillaryMessage {
  const data = Buffer.alloc(maxBytes);
  const control = Buffer.alloc(CMSGHDR_BYTES + 4 * MAX_DESCRIPTORS);
  const header = buildHeader(libc, data, control);
  const length = libc.recvmsg(socket, header.bytes, MSG_CMSG_CLOEXEC);
  const controlLength = Number(header.bytes.readBigUInt64LE(CONTROL_LENGTH));
  const descriptors = parseControl(control.subarray(0, controlLength));
  if ((header.bytes.readInt32LE(FLAGS) & MSG_CTRUNC) !== 0) {
    closeAll(descriptors);
    throw new Error("more descriptors arrived than one message may carry");
  }
  return { data: data.subarray(0, length), descriptors };
}

/** Closes descriptors that nobody will use. */
export function closeAll(descriptors: readonly number[]): void {
  for (const descriptor of descriptors) closeSync(descriptor);
}

/** The header points into `parts`; holding them with it keeps them from being collected during the call. */
function buildHeader(libc: Libc, data: Buffer, control: Buffer): { bytes: Buffer; parts: readonly Buffer[] } {
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(libc.addressOf(data), 0);
  vector.writeBigUInt64LE(BigInt(data.length), 8);
  const bytes = Buffer.alloc(MSGHDR_BYTES);
  bytes.writeBigUInt64LE(libc.addressOf(vector), 16);
  bytes.writeBigUInt64LE(1n, 24);
  bytes.writeBigUInt64LE(libc.addressOf(control), CONTROL_POINTER);
  bytes.writeBigUInt64LE(BigInt(control.length), CONTROL_LENGTH);
  return { bytes, parts: [vector, data, control] };
}

function parseControl(control: Buffer): number[] {
  const descriptors: number[] = [];
  let offset = 0;
  while (offset + CMSGHDR_BYTES <= control.length) {
    const length = Number(control.readBigUInt64LE(offset));
    if (length < CMSGHDR_BYTES) break;
    const end = Math.min(offset + length, control.length);
    const isRights = control.readInt32LE(offset + 8) === SOL_SOCKET && control.readInt32LE(offset + 12) === SCM_RIGHTS;
    for (let at = offset + CMSGHDR_BYTES; isRights && at + 4 <= end; at += 4) descriptors.push(control.readInt32LE(at));
    offset += Math.ceil(length / 8) * 8;
  }
  return descriptors;
}
