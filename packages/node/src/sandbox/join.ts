import { Problem } from "@gatehouse/core";
import { seccompProgram } from "./seccomp.ts";
import { ARCHITECTURES } from "./system-calls.ts";

/** Descriptors of a joiner, beside its standard streams: what it is told, what it says, and where it goes. */
export const JOIN_FD = {
  args: 3,
  info: 4,
  owner: 5,
  cgroup: 6,
  ipc: 7,
  uts: 8,
  net: 9,
  mnt: 10,
  pid: 11,
  user: 12,
} as const;

/** What it says when all of its rights are gone but the ones that keep the run from looking into it. */
export const JOINED = "joined\n";

/** A command for a sandbox that runs already. */
export interface JoinSpec {
  /** As it is run inside. */
  readonly command: readonly string[];
  /** All of it, and nothing else. */
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  readonly umask: string;
  /** Its streams are a terminal, which becomes that of its session. */
  readonly isTerminal: boolean;
}

/** A process to spawn, and what is written to its `JOIN_FD.args`. */
export interface JoinLaunch {
  readonly file: string;
  readonly args: readonly string[];
  readonly data: Buffer;
}

/**
 * Entering a user namespace needs a process of one thread that can make system calls, and no tool of the system keeps
 * its capabilities over it: perl does both. It has given up everything before a process of it is seen inside, but for
 * its capabilities in the command's own user namespace and its not being dumpable. Those keep the run's processes, which
 * have the same user, from tracing it and from its /proc/PID/{exe,fd,root,cwd,environ,mem}; the kernel takes them away
 * in the one step in which it becomes the shell of the sandbox and its descriptors are closed.
 */
const JOINER = String.raw`
use strict; use warnings; use POSIX (); use Fcntl;
my ($setns, $prctl, $ioctl, $keeper, $has_terminal) = map { $_ + 0 } @ARGV;
sub handle { my ($fd) = @_; my $handle; open($handle, '+<&=', $fd) || POSIX::_exit(125); return $handle }
my ($args, $info, $owner, @namespaces) = map { handle($_) } 3 .. 12;
my $user = pop @namespaces;
$0 = 'gatehouse exec';
sub must {
  my ($what, @call) = @_;
  my $result = syscall($call[0], @call[1 .. $#call]);
  return $result if $result >= 0;
  syswrite($info, "$what: $!\n");
  POSIX::_exit(125);
}
sub option { must("prctl $_[0]", $prctl, $_[0], $_[1], 0, 0, 0) }
fcntl($_, F_SETFD, FD_CLOEXEC) || POSIX::_exit(125) for $args, $info, $owner, @namespaces, $user;
my ($filter, $umask, $workdir, $count, @command) = unpack('(V/a*)*', do { local $/; readline($args) });
my %variables = map { split(/=/, $_, 2) } splice(@command, 0, $count);
option(4, 0);
must('setns', $setns, fileno($_), 0) for $owner, @namespaces;
chdir('/') || POSIX::_exit(125);
umask(oct($umask));
must('setns', $setns, fileno($user), 0);
for my $capability (0 .. 63) {
  last if syscall($prctl, 23, $capability, 0, 0, 0) < 0;
  option(24, $capability);
}
option(4, 0);
option(38, 1);
option(1, 9);
POSIX::_exit(125) if getppid() != $keeper;
my $program = pack('S x![8] P', length($filter) / 8, $filter);
must('seccomp', $prctl, 22, 2, $program, 0, 0);
syswrite($info, "joined\n");
pipe(my $parent, my $held) || POSIX::_exit(125);
my $child = fork();
if (!defined($child)) { syswrite($info, "fork: $!\n"); POSIX::_exit(125) }
if ($child == 0) {
  option(1, 9);
  # Of a parent outside its process namespace a process is told nothing: a pipe says whether it was gone before.
  close($held);
  vec(my $ended = '', fileno($parent), 1) = 1;
  POSIX::_exit(125) if select($ended, undef, undef, 0);
  POSIX::setsid();
  must('TIOCSCTTY', $ioctl, 0, 0x540e, 0) if $has_terminal;
  %ENV = %variables;
  { exec { '/bin/sh' } 'sh', '-c', 'cd -- "$1" || exit 126; shift; unset OLDPWD; exec "$@"', 'sh', $workdir, @command }
  POSIX::_exit(125);
}
close($info);
waitpid($child, 0);
POSIX::_exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
`;

/** How a joiner is started. Its variables and arguments travel over a descriptor: the run token is in no argv. */
export function launchJoiner(spec: JoinSpec): JoinLaunch {
  const { setns, prctl, ioctl } = ARCHITECTURES[process.arch]?.calls ?? {};
  if (setns === undefined || prctl === undefined || ioctl === undefined)
    throw new Problem("exec.unsupported", { detail: process.arch });
  const variables = Object.entries(spec.env).map(([name, value]) => `${name}=${value}`);
  const words = [seccompProgram(), spec.umask, spec.workdir, String(variables.length), ...variables, ...spec.command];
  const numbers = [setns, prctl, ioctl, process.pid, spec.isTerminal ? 1 : 0].map(String);
  return { file: "perl", args: ["-e", JOINER, ...numbers], data: Buffer.concat(words.flatMap(prefixed)) };
}

/** A word with its length before it: 4 bytes, little-endian. */
function prefixed(word: string | Buffer): readonly Buffer[] {
  const bytes = Buffer.from(word);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return [length, bytes];
}
