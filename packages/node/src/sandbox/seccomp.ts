/** What a system call filter needs to know of a machine (linux/audit.h, asm/unistd.h). */
interface Architecture {
  readonly audit: number;
  readonly calls: Readonly<Record<string, number>>;
  /** Calls at or above this number are of another ABI (x32). */
  readonly foreignFrom: number | undefined;
}

const COMMON = {
  io_uring_setup: 425,
  io_uring_enter: 426,
  io_uring_register: 427,
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  fspick: 433,
  clone3: 435,
  mount_setattr: 442,
} as const;

const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  x64: {
    audit: 0xc000003e,
    foreignFrom: 0x40000000,
    calls: {
      ...COMMON,
      socket: 41,
      socketpair: 53,
      clone: 56,
      ioctl: 16,
      unshare: 272,
      setns: 308,
      mount: 165,
      umount2: 166,
      pivot_root: 155,
      bpf: 321,
      perf_event_open: 298,
      add_key: 248,
      request_key: 249,
      keyctl: 250,
      kexec_load: 246,
      kexec_file_load: 320,
      init_module: 175,
      finit_module: 313,
      delete_module: 176,
      userfaultfd: 323,
      syslog: 103,
      acct: 163,
      quotactl: 179,
      swapon: 167,
      swapoff: 168,
      reboot: 169,
    },
  },
  arm64: {
    audit: 0xc00000b7,
    foreignFrom: undefined,
    calls: {
      ...COMMON,
      socket: 198,
      socketpair: 199,
      clone: 220,
      ioctl: 29,
      unshare: 97,
      setns: 268,
      mount: 40,
      umount2: 39,
      pivot_root: 41,
      bpf: 280,
      perf_event_open: 241,
      add_key: 217,
      request_key: 218,
      keyctl: 219,
      kexec_load: 104,
      kexec_file_load: 294,
      init_module: 105,
      finit_module: 273,
      delete_module: 106,
      userfaultfd: 282,
      syslog: 116,
      acct: 89,
      quotactl: 60,
      swapon: 224,
      swapoff: 225,
      reboot: 142,
    },
  },
};

const EPERM = 1;
const EAFNOSUPPORT = 97;
const ENOSYS = 38;
const CLONE_NEWUSER = 0x10000000;
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;

const ALLOW = 0x7fff0000;
const KILL_PROCESS = 0x80000000;
const errno = (number: number) => 0x00050000 | number;

// struct seccomp_data: nr, arch, instruction pointer (8), arguments (8 each; the low word first).
const OFFSET = { number: 0, arch: 4, argument: (index: number) => 16 + 8 * index } as const;
const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;

interface Instruction {
  readonly code: number;
  readonly k: number;
  readonly jumpTrue?: number;
  readonly jumpFalse?: number;
}

/** Calls that end with EPERM whatever their arguments: they reach the kernel's keys, modules, mounts and other rings. */
const REFUSED = [
  "io_uring_setup",
  "io_uring_enter",
  "io_uring_register",
  "open_tree",
  "move_mount",
  "fsopen",
  "fsconfig",
  "fsmount",
  "fspick",
  "mount_setattr",
  "setns",
  "mount",
  "umount2",
  "pivot_root",
  "bpf",
  "perf_event_open",
  "add_key",
  "request_key",
  "keyctl",
  "kexec_load",
  "kexec_file_load",
  "init_module",
  "finit_module",
  "delete_module",
  "userfaultfd",
  "syslog",
  "acct",
  "quotactl",
  "swapon",
  "swapoff",
  "reboot",
] as const;

/**
 * A classic BPF program (struct sock_filter, little-endian) for `bwrap --seccomp`: sockets of four families alone, no
 * new user namespaces, no calls around the filter. `undefined` for a machine that it was not written for.
 */
export function seccompProgram(arch: string = process.arch): Buffer | undefined {
  const machine = ARCHITECTURES[arch];
  if (machine === undefined) return undefined;
  const number = (name: string) => machine.calls[name] ?? -1;
  const program: Instruction[] = [
    { code: LOAD, k: OFFSET.arch },
    { code: JUMP_EQUAL, k: machine.audit, jumpTrue: 1, jumpFalse: 0 },
    { code: RETURN, k: KILL_PROCESS },
    { code: LOAD, k: OFFSET.number },
  ];
  if (machine.foreignFrom !== undefined) {
    program.push({ code: JUMP_AT_LEAST, k: machine.foreignFrom, jumpTrue: 0, jumpFalse: 1 });
    program.push({ code: RETURN, k: KILL_PROCESS });
  }
  for (const name of REFUSED) program.push(...whenCall(number(name), [{ code: RETURN, k: errno(EPERM) }]));
  // Its flags lie in memory, which a filter cannot read; libraries fall back to clone.
  program.push(...whenCall(number("clone3"), [{ code: RETURN, k: errno(ENOSYS) }]));
  for (const name of ["clone", "unshare"]) program.push(...whenCall(number(name), refuseNewUserNamespace()));
  program.push(...whenCall(number("ioctl"), refuseTerminalInjection()));
  for (const name of ["socket", "socketpair"]) program.push(...whenCall(number(name), allowFamilies()));
  program.push({ code: RETURN, k: ALLOW });
  return assemble(program);
}

/** Runs `body`, which always returns, when the call has this number; the number stays loaded otherwise. */
function whenCall(number: number, body: readonly Instruction[]): Instruction[] {
  return [{ code: JUMP_EQUAL, k: number, jumpTrue: 0, jumpFalse: body.length }, ...body];
}

function refuseNewUserNamespace(): Instruction[] {
  return [
    { code: LOAD, k: OFFSET.argument(0) },
    { code: JUMP_ANY_BIT, k: CLONE_NEWUSER, jumpTrue: 0, jumpFalse: 1 },
    { code: RETURN, k: errno(EPERM) },
    { code: RETURN, k: ALLOW },
  ];
}

function refuseTerminalInjection(): Instruction[] {
  return [
    { code: LOAD, k: OFFSET.argument(1) },
    { code: JUMP_EQUAL, k: TIOCSTI, jumpTrue: 1, jumpFalse: 0 },
    { code: JUMP_EQUAL, k: TIOCLINUX, jumpTrue: 0, jumpFalse: 1 },
    { code: RETURN, k: errno(EPERM) },
    { code: RETURN, k: ALLOW },
  ];
}

function allowFamilies(): Instruction[] {
  return [
    { code: LOAD, k: OFFSET.argument(0) },
    { code: JUMP_EQUAL, k: AF_UNIX, jumpTrue: 5, jumpFalse: 0 },
    { code: JUMP_EQUAL, k: AF_INET, jumpTrue: 4, jumpFalse: 0 },
    { code: JUMP_EQUAL, k: AF_INET6, jumpTrue: 3, jumpFalse: 0 },
    { code: JUMP_EQUAL, k: AF_NETLINK, jumpTrue: 0, jumpFalse: 3 },
    { code: LOAD, k: OFFSET.argument(2) },
    { code: JUMP_EQUAL, k: NETLINK_ROUTE, jumpTrue: 0, jumpFalse: 1 },
    { code: RETURN, k: ALLOW },
    { code: RETURN, k: errno(EAFNOSUPPORT) },
  ];
}

function assemble(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, { code, k, jumpTrue = 0, jumpFalse = 0 }] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(jumpTrue, index * 8 + 2);
    bytes.writeUInt8(jumpFalse, index * 8 + 3);
    bytes.writeUInt32LE(k >>> 0, index * 8 + 4);
  }
  return bytes;
}
