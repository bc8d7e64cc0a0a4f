import { productCommand } from "@gatehouse/testbed";

/** What a person does at a terminal. Each wait is for what is shown after the one before. */
export type Deed =
  | { readonly until: string }
  | { readonly type: string }
  | { readonly resize: readonly [rows: number, columns: number] }
  /** Prints the word for whoever watches, and goes on when a line comes from there. */
  | { readonly tell: string }
  /** The window is closed. */
  | "close";

const PERSON = `import fcntl, json, os, pty, signal, struct, sys, termios
deeds, (rows, columns), command = json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
shown = b""
def resize(fd, rows, columns): fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
def look():
  global shown
  shown += os.read(terminal, 4096).replace(b"\\r", b"")
def until(text):
  global shown
  try:
    while text not in shown: look()
  except OSError: sys.exit("ended before %r: %r" % (text, shown))
  shown = shown[shown.index(text) + len(text):]
pid, terminal = pty.fork()
if pid == 0:
  resize(0, rows, columns)
  os.execv(command[0], command)
before = termios.tcgetattr(terminal)
for deed in deeds:
  if deed == "close": os.close(terminal); os.waitpid(pid, 0); sys.exit()
  elif "until" in deed: until(deed["until"].encode())
  elif "type" in deed: os.write(terminal, deed["type"].encode())
  elif "resize" in deed: resize(terminal, *deed["resize"])
  else: print(deed["tell"], flush=True); sys.stdin.readline()
try:
  while True: look()
except OSError: pass
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "as it was" if termios.tcgetattr(terminal) == before else "changed")
`;

/**
 * A program that runs the product's command at a terminal of this size, with a person who does this. At its end it
 * prints the command's code and how the terminal was left.
 */
export function personAtTerminal(
  deeds: readonly Deed[],
  command: readonly string[],
  size: readonly [rows: number, columns: number] = [33, 77],
): readonly string[] {
  return ["python3", "-c", PERSON, JSON.stringify(deeds), JSON.stringify(size), ...productCommand(), ...command];
}

/**
 * In a shell with the prompt `$ `: its window and the keys, and that it has a terminal of its own. It ends with code 5.
 * What is interrupted starts no process of its own: dash loses a key that comes while it does.
 */
export const TRY_A_SHELL: readonly Deed[] = [
  { until: "$ " },
  { type: "stty size; tty\n" },
  { until: "33 77\n/dev/pts/0\n" },
  { resize: [40, 100] },
  { type: "until stty size | grep '40 100'; do :; done; sh -c 'echo at; read line'\n" },
  { until: "40 100\nat\n" },
  { type: "\u0003" },
  { until: "$ " },
  { type: "exit 5\n" },
];
