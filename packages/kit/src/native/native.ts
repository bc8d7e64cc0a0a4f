import { closeSync, constants, openSync, readdirSync } from "node:fs";
import { Problem } from "@gatehouse/core";
import { sendWithDescriptor } from "./ancillary-message.ts";
import { type Libc, loadLibc, SystemCallError } from "./libc.ts";
import { requestDescriptor } from "./receive-descriptor.ts";

/** Who is at the other end of a Unix socket, as the kernel noted it when the connection was made. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * System calls that Node does not offer, through koffi. The library is loaded at the first use. Where it cannot be,
 * `available` is false, `why` says the reason and every call fails with `native.unavailable`.
 */
export interface Native {
  readonly available: boolean;
  /** Why nothing native can be called; `undefined` when it can. */
  readonly why: string | undefined;
  /** SO_PEERCRED of a connected Unix socket. */
  peerCredentials(socketDescriptor: number): PeerCredentials;
  /** Sends one byte `L` that carries `descriptor` (SCM_RIGHTS). The sender keeps and closes its own copy. */
  sendDescriptor(socketDescriptor: number, descriptor: number): void;
  /**
   * Connects, sends `requestLine`, and returns the descriptor in the answer: closed on exec, the caller's to close.
   * Fails with `process.gone` or `process.timeout`, and then leaves no descriptor open.
   */
  receiveDescriptor(socketPath: string, requestLine: string, timeoutMs: number): Promise<number>;
  /** Brings the loopback interface of this process's network namespace up; nothing happens when it is. */
  bringLoopbackUp(): void;
  /** flock(2): true when locked, false when `nonblock` and another holds it. */
  flock(descriptor: number, exclusive: boolean, nonblock: boolean): boolean;
  /**
   * Opens the user namespace that owns a namespace (`/proc/PID/ns/net`), which need not be the one that its processes
   * are in by now. The caller closes the descriptor.
   */
  openOwnerOfNamespace(path: string): number;
  /**
   * Opens the user namespace in which the one of `descriptor` was made; `undefined` where that is none of the caller's
   * own or below. The caller closes the descriptor.
   */
  openParentOfNamespace(descriptor: number): number | undefined;
  /**
   * Keeps descriptors that this process inherited, standard streams apart, from every program that it starts: Node
   * closes only its own, and one of a shell's would open a way into a sandbox.
   */
  withholdInheritedDescriptors(): void;
  /**
   * Keeps this process's memory to itself: when it crashes, nothing of it is written to a file or given to the system's
   * crash handler, and no other process but root's may look into it. Programs that it starts are not held by that. Does
   * nothing where nothing native can be called.
   */
  keepMemoryPrivate(): void;
  /** Makes a pseudo-terminal. Both descriptors are closed on exec, and the caller's to close. */
  openTerminal(size: TerminalSize): Terminal;
  /** Sets the size of a terminal by either of its descriptors; its foreground processes are told. */
  resizeTerminal(descriptor: number, size: TerminalSize): void;
  /**
   * Gives memory that is free to the system; true when some was. Takes up to a tenth of a millisecond for each MiB of
   * the C library's heap. Does nothing, and never fails, where nothing native can be called or the library is not
   * glibc.
   */
  returnFreeMemory(): boolean;
  /**
   * Becomes another program under a system call filter that it cannot take off. It must not be able to gain privileges
   * (no_new_privs). Returns only by throwing `SystemCallError`.
   */
  becomeFiltered(filtered: FilteredProgram): never;
}

/** In characters. */
export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** A pseudo-terminal: what is written to either descriptor is read from the other. */
export interface Terminal {
  /** For whoever shows it. */
  readonly controller: number;
  /** For the programs in it. */
  readonly terminal: number;
}

export interface FilteredProgram {
  readonly argv: readonly string[];
  /** An array of struct sock_filter. */
  readonly filter: Uint8Array;
  /** Descriptors that it gets; Node has marked all of its own to be closed, the standard streams too. */
  readonly descriptors: readonly number[];
}

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SO_PEERCRED = 17;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
/** struct ifreq: name (16), then a union whose first short is the flags. */
const IFREQ_BYTES = 40;
const IFREQ_FLAGS = 16;
const IFF_UP = 1;
/** asm-generic/ioctls.h */
const TIOCSPTLCK = 0x40045431;
const TIOCSWINSZ = 0x5414;
/** struct winsize: rows, columns, and two more that nobody reads. */
const WINSIZE_BYTES = 8;
/** struct sock_filter; struct sock_fprog is a short and, aligned, a pointer. */
const SOCK_FILTER_BYTES = 8;
const SOCK_FPROG_BYTES = 16;
/** SIGPIPE and SIGXFSZ: Node ignores them, and what is ignored stays so over exec. */
const IGNORED_BY_NODE = [13, 25] as const;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

class LazyNative implements Native {
  #loaded: { readonly libc: Libc } | { readonly why: string } | undefined;

  get available(): boolean {
    return "libc" in this.#load();
  }

  get why(): string | undefined {
    const loaded = this.#load();
    return "why" in loaded ? loaded.why : undefined;
  }

  peerCredentials(socketDescriptor: number): PeerCredentials {
    const value = Buffer.alloc(12);
    const length = this.#libc().getsockopt(socketDescriptor, SO_PEERCRED, value);
    if (length !== value.length) throw new Error("SO_PEERCRED gave another size than expected");
    return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), gid: value.readUInt32LE(8) };
  }

  sendDescriptor(socketDescriptor: number, descriptor: number): void {
    sendWithDescriptor(this.#libc(), socketDescriptor, { data: Buffer.from("L"), descriptor });
  }

  async receiveDescriptor(socketPath: string, requestLine: string, timeoutMs: number): Promise<number> {
    return requestDescriptor(this.#libc(), { socketPath, line: requestLine, timeoutMs });
  }

  bringLoopbackUp(): void {
    const libc = this.#libc();
    const descriptor = libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC);
    try {
      const request = Buffer.alloc(IFREQ_BYTES);
      request.write("lo");
      libc.ioctl(descriptor, SIOCGIFFLAGS, request);
      const flags = request.readInt16LE(IFREQ_FLAGS);
      if ((flags & IFF_UP) !== 0) return;
      request.writeInt16LE(flags | IFF_UP, IFREQ_FLAGS);
      libc.ioctl(descriptor, SIOCSIFFLAGS, request);
    } finally {
      closeSync(descriptor);
    }
  }

  flock(descriptor: number, exclusive: boolean, nonblock: boolean): boolean {
    try {
      this.#libc().flock(descriptor, (exclusive ? LOCK_EX : LOCK_SH) | (nonblock ? LOCK_NB : 0));
      return true;
    } catch (failure) {
      if (nonblock && failure instanceof SystemCallError && failure.code === "EAGAIN") return false;
      throw failure;
    }
  }

  openOwnerOfNamespace(path: string): number {
    const namespace = openSync(path, "r");
    try {
      return this.#libc().ownerOfNamespace(namespace);
    } finally {
      closeSync(namespace);
    }
  }

  openParentOfNamespace(descriptor: number): number | undefined {
    try {
      return this.#libc().parentOfNamespace(descriptor);
    } catch (failure) {
      if (failure instanceof SystemCallError && failure.code === "EPERM") return undefined;
      throw failure;
    }
  }

  openTerminal(size: TerminalSize): Terminal {
    const libc = this.#libc();
    const flags = constants.O_RDWR | constants.O_NOCTTY;
    const controller = openSync("/dev/ptmx", flags);
    try {
      libc.ioctl(controller, TIOCSPTLCK, Buffer.alloc(4));
      const terminal = libc.openPeerOfTerminal(controller, flags);
      libc.closeOnExec(terminal);
      this.resizeTerminal(controller, size);
      return { controller, terminal };
    } catch (failure) {
      closeSync(controller);
      throw failure;
    }
  }

  resizeTerminal(descriptor: number, { rows, columns }: TerminalSize): void {
    const size = Buffer.alloc(WINSIZE_BYTES);
    size.writeUInt16LE(rows, 0);
    size.writeUInt16LE(columns, 2);
    this.#libc().ioctl(descriptor, TIOCSWINSZ, size);
  }

  withholdInheritedDescriptors(): void {
    const libc = this.#libc();
    for (const name of readdirSync("/proc/self/fd")) {
      const descriptor = Number(name);
      try {
        if (descriptor > 2) libc.closeOnExec(descriptor);
      } catch (failure) {
        // The one that listed the directory is closed by now.
        if (!(failure instanceof SystemCallError && failure.code === "EBADF")) throw failure;
      }
    }
  }

  keepMemoryPrivate(): void {
    const loaded = this.#load();
    if ("libc" in loaded) loaded.libc.forbidDumps();
  }

  returnFreeMemory(): boolean {
    const loaded = this.#load();
    return "libc" in loaded && loaded.libc.trimHeap();
  }

  becomeFiltered({ filter, argv, descriptors }: FilteredProgram): never {
    const libc = this.#libc();
    const program = Buffer.alloc(SOCK_FPROG_BYTES);
    program.writeUInt16LE(filter.length / SOCK_FILTER_BYTES, 0);
    program.writeBigUInt64LE(libc.addressOf(filter), 8);
    for (const descriptor of descriptors) libc.keepOnExec(descriptor);
    for (const signal of IGNORED_BY_NODE) libc.resetSignal(signal);
    libc.setSystemCallFilter(program);
    libc.execvp(argv[0] ?? "", argv);
    throw new Error("exec returned");
  }

  #libc(): Libc {
    const loaded = this.#load();
    if ("why" in loaded) throw new Problem("native.unavailable", { detail: `${loaded.why}.` });
    return loaded.libc;
  }

  #load(): { readonly libc: Libc } | { readonly why: string } {
    this.#loaded ??= tryLoad();
    return this.#loaded;
  }
}

function tryLoad(): { readonly libc: Libc } | { readonly why: string } {
  try {
    return { libc: loadLibc() };
  } catch (failure) {
    return { why: failure instanceof Error ? (failure.message.split("\n", 1)[0] ?? "unknown") : "unknown" };
  }
}

/** The process's own C library: one per process by nature, holding nothing but its entry points. */
export const native: Native = new LazyNative();
