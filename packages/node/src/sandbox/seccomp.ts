import { Problem } from "@gatehouse/core";
import { ARCHITECTURES } from "./system-calls.ts";

const EPERM = 1;
const EAFNOSUPPORT = 97;
const ENOSYS = 38;
const SETUID_OR_SETGID = 0o6000;
/** O_CREAT and the bit of O_TMPFILE that is its own: without one of them there is no mode. */
const CREATES = 0o100 | 0o20000000;
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
  "open_tree_attr",
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

/** Calls whose arguments lie in memory, which a filter cannot read: ENOSYS, and libraries use the older ones. */
const UNREADABLE = ["clone3", "openat2"] as const;

/** Calls that give a file its mode, with the argument that holds it. */
const MODES: Readonly<Record<string, number>> = {
  chmod: 1,
  fchmod: 1,
  fchmodat: 2,
  fchmodat2: 2,
  mkdir: 1,
  mkdirat: 2,
  mknod: 1,
  mknodat: 2,
  creat: 1,
};

/** Calls that may create a file, with the arguments that hold their flags and its mode. */
const OPENS: Readonly<Record<string, { readonly flags: number; readonly mode: number }>> = {
  open: { flags: 1, mode: 2 },
  openat: { flags: 2, mode: 3 },
};

/** Calls by which a process takes another one over, with the argument that says which: not the sandbox's init. */
const TAKES_OVER: Readonly<Record<string, number>> = {
  ptrace: 1,
  process_vm_readv: 0,
  process_vm_writev: 0,
  pidfd_open: 0,
};
const INIT = 1;

/**
 * A classic BPF program (an array of struct sock_filter, little-endian): sockets of four families alone, no new user
 * namespaces, no setuid or setgid bit on a file, no calls around the filter. The bits matter outside: what a run leaves
 * in its workspace belongs to the daemon's user, root perhaps. Fails with `sandbox.unavailable` for a machine that it
 * was not written for.
 */
export function seccompProgram(arch: string = process.arch): Buffer {
  const machine = ARCHITECTURES[arch];
  if (machine === undefined) throw new Problem("sandbox.unavailable", { detail: `No system call filter for ${arch}.` });
  const when = (name: string, body: readonly Instruction[]): readonly Instruction[] => {
    const number = machine.calls[name];
    return number === undefined ? [] : whenCall(number, body);
  };
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
  for (const name of REFUSED) program.push(...when(name, [{ code: RETURN, k: errno(EPERM) }]));
  for (const name of UNREADABLE) program.push(...when(name, [{ code: RETURN, k: errno(ENOSYS) }]));
  for (const name of ["clone", "unshare"]) program.push(...when(name, refuseBits(0, CLONE_NEWUSER)));
  for (const [name, mode] of Object.entries(MODES)) program.push(...when(name, refuseBits(mode, SETUID_OR_SETGID)));
  for (const [name, at] of Object.entries(OPENS)) program.push(...when(name, refuseModeWhereItCreates(at)));
  for (const [name, pid] of Object.entries(TAKES_OVER)) program.push(...when(name, refuseInit(pid)));
  program.push(...when("ioctl", refuseTerminalInjection()));
  for (const name of ["socket", "socketpair"]) program.push(...when(name, allowFamilies()));
  program.push({ code: RETURN, k: ALLOW });
  return assemble(program);
}

/** Runs `body`, which always returns, when the call has this number; the number stays loaded otherwise. */
function whenCall(number: number, body: readonly Instruction[]): Instruction[] {
  return [{ code: JUMP_EQUAL, k: number, jumpTrue: 0, jumpFalse: body.length }, ...body];
}

function refuseBits(argument: number, bits: number): Instruction[] {
  return [
    { code: LOAD, k: OFFSET.argument(argument) },
    { code: JUMP_ANY_BIT, k: bits, jumpTrue: 0, jumpFalse: 1 },
    { code: RETURN, k: errno(EPERM) },
    { code: RETURN, k: ALLOW },
  ];
}

function refuseInit(argument: number): Instruction[] {
  return [
    { code: LOAD, k: OFFSET.argument(argument) },
    { code: JUMP_EQUAL, k: INIT, jumpTrue: 0, jumpFalse: 1 },
    { code: RETURN, k: errno(EPERM) },
    { code: RETURN, k: ALLOW },
  ];
}

function refuseModeWhereItCreates({ flags, mode }: { readonly flags: number; readonly mode: number }): Instruction[] {
  return [
    { code: LOAD, k: OFFSET.argument(flags) },
    { code: JUMP_ANY_BIT, k: CREATES, jumpTrue: 1, jumpFalse: 0 },
    { code: RETURN, k: ALLOW },
    ...refuseBits(mode, SETUID_OR_SETGID),
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
