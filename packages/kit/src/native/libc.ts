import { createRequire } from "node:module";
import { getSystemErrorName } from "node:util";

/** Watches a descriptor on the event loop (`uv_poll`). */
interface PollHandle {
  close(): void;
}

type Koffi = typeof import("koffi");

/** What is left of a failed call: its name and the system's code. */
export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  /** `EAGAIN`, `ECONNREFUSED`, … */
  readonly code: string;

  constructor(call: string, errno: number) {
    const code = getSystemErrorName(-errno);
    super(`${call} failed: ${code}`);
    this.code = code;
  }
}

/** The C library's calls that Node does not offer. Each throws `SystemCallError` where C returns -1. */
export interface Libc {
  socket(family: number, type: number): number;
  connect(descriptor: number, address: Uint8Array): void;
  send(descriptor: number, data: Uint8Array, flags: number): number;
  sendmsg(descriptor: number, header: Uint8Array, flags: number): number;
  recvmsg(descriptor: number, header: Uint8Array, flags: number): number;
  /** Fills `value` and returns how many bytes were written. */
  getsockopt(descriptor: number, name: number, value: Uint8Array): number;
  ioctl(descriptor: number, request: number, argument: Uint8Array): void;
  /** NS_GET_USERNS: a descriptor of the user namespace that owns the namespace of `descriptor`. */
  ownerOfNamespace(descriptor: number): number;
  /** NS_GET_PARENT: a descriptor of the user namespace in which that of `descriptor` was made. */
  parentOfNamespace(descriptor: number): number;
  /** TIOCGPTPEER: a descriptor of the terminal whose controller this is, by no path. */
  openPeerOfTerminal(controller: number, flags: number): number;
  flock(descriptor: number, operation: number): void;
  /** FD_CLOEXEC, and nothing else of F_SETFD. */
  closeOnExec(descriptor: number): void;
  /** Takes FD_CLOEXEC away. */
  keepOnExec(descriptor: number): void;
  /** PR_SET_SECCOMP with SECCOMP_MODE_FILTER, for the calling thread; `filter` is a struct sock_fprog. */
  setSystemCallFilter(filter: Uint8Array): void;
  /** PR_SET_DUMPABLE with SUID_DUMP_DISABLE, for the process until it becomes another program. */
  forbidDumps(): void;
  /** SIG_DFL for a signal. */
  resetSignal(signal: number): void;
  /** Gives free memory back to the system; false where there was none, or the C library cannot. */
  trimHeap(): boolean;
  /** Returns only by throwing. */
  execvp(file: string, argv: readonly string[]): void;
  /** The address of a buffer's bytes, which stay where they are as long as the buffer lives. */
  addressOf(buffer: Uint8Array): bigint;
  /** Calls back each time the descriptor can be read or was closed by its peer. */
  watchReadable(descriptor: number, callback: () => void): PollHandle;
}

/** Layouts of structs and numbers of options are those of 64-bit Linux; elsewhere nothing native is tried. */
const PLATFORMS: readonly string[] = ["linux-x64", "linux-arm64"];
const SOL_SOCKET = 1;
const F_SETFD = 2;
const NS_GET_USERNS = 0xb701;
const NS_GET_PARENT = 0xb702;
const TIOCGPTPEER = 0x5441;
const FD_CLOEXEC = 1;
const PR_SET_DUMPABLE = 4;
const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2;
const SIG_DFL = 0;
/** More than the runtime takes to end after its last handler; SIGALRM then ends the process. */
const END_WITHIN_SECONDS = 5;

/**
 * Loads koffi and binds the calls. Throws with the reason where the platform or the package does not serve. From then on
 * an ending process has some seconds for it: koffi synchronises the standard streams last of all, and where the disk
 * refuses that of stderr it waits for a lock that it holds itself.
 */
export function loadLibc(): Libc {
  const platform = `${process.platform}-${process.arch}`;
  if (!PLATFORMS.includes(platform)) throw new Error(`native calls are not built for ${platform}`);
  const koffi = createRequire(import.meta.url)("koffi") as Koffi;
  // The running program has its C library loaded already, whichever that is.
  const library = koffi.load(null);
  const bind = (definition: string) => {
    const call = library.func(definition);
    const name = /(\w+)\(/.exec(definition)?.[1] ?? definition;
    return (...args: readonly unknown[]): number => {
      const result = Number(call(...args));
      if (result === -1) throw new SystemCallError(name, koffi.errno());
      return result;
    };
  };
  const bindOptional = (definition: string) => {
    try {
      return bind(definition);
    } catch {
      return () => 0; // this C library does not have it
    }
  };
  const socket = bind("int socket(int, int, int)");
  const connect = bind("int connect(int, const void *, unsigned int)");
  const send = bind("long send(int, const void *, size_t, int)");
  const sendmsg = bind("long sendmsg(int, const void *, int)");
  const recvmsg = bind("long recvmsg(int, void *, int)");
  const getsockopt = bind("int getsockopt(int, int, int, void *, void *)");
  const ioctl = bind("int ioctl(int, unsigned long, ...)");
  const flock = bind("int flock(int, int)");
  const fcntl = bind("int fcntl(int, int, ...)");
  const prctl = bind("int prctl(int, unsigned long, const void *)");
  const signal = bind("intptr_t signal(int, intptr_t)");
  const trimHeap = bindOptional("int malloc_trim(size_t)");
  const execvp = bind("int execvp(const char *, const char **)");
  const alarm = bind("unsigned int alarm(unsigned int)");
  process.once("exit", () => void alarm(END_WITHIN_SECONDS));
  return {
    socket: (family, type) => socket(family, type, 0),
    connect: (descriptor, address) => void connect(descriptor, address, address.length),
    send: (descriptor, data, flags) => send(descriptor, data, data.length, flags),
    sendmsg,
    recvmsg,
    getsockopt: (descriptor, name, value) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(value.length);
      getsockopt(descriptor, SOL_SOCKET, name, value, length);
      return length.readUInt32LE();
    },
    ioctl: (descriptor, request, argument) => void ioctl(descriptor, request, "void *", argument),
    flock: (descriptor, operation) => void flock(descriptor, operation),
    closeOnExec: (descriptor) => void fcntl(descriptor, F_SETFD, "int", FD_CLOEXEC),
    keepOnExec: (descriptor) => void fcntl(descriptor, F_SETFD, "int", 0),
    setSystemCallFilter: (filter) => void prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter),
    forbidDumps: () => void prctl(PR_SET_DUMPABLE, 0, null),
    resetSignal: (number) => void signal(number, SIG_DFL),
    trimHeap: () => trimHeap(0) === 1,
    execvp: (file, argv) => void execvp(file, [...argv, null]),
    ownerOfNamespace: (descriptor) => ioctl(descriptor, NS_GET_USERNS, "int", 0),
    parentOfNamespace: (descriptor) => ioctl(descriptor, NS_GET_PARENT, "int", 0),
    openPeerOfTerminal: (controller, flags) => ioctl(controller, TIOCGPTPEER, "int", flags),
    addressOf: (buffer) => koffi.address(buffer),
    watchReadable: (descriptor, callback) => koffi.node.poll(descriptor, { readable: true }, callback),
  };
}
