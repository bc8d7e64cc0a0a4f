// Holds the daemon lock of the directory in its first argument until it is killed.
import { openDaemonLock } from "../../src/index.ts";

await openDaemonLock(process.argv[2] ?? "", {
  pid: process.pid,
  proxy_port: 1,
  sock_path: "s",
  started_at: new Date().toISOString(),
  commit: "c",
});
process.stdout.write("held\n");
setInterval(() => undefined, 1_000);
