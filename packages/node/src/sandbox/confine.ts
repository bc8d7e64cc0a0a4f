// Runs for a moment in a sandbox that util-linux built, without a capability left: puts the system call filter on, which
// no tool of the system does, and becomes the command.
import { closeSync, readFileSync } from "node:fs";
import { native } from "@gatehouse/kit";
import { FD } from "./driver.ts";

const filter = readFileSync(FD.seccomp);
closeSync(FD.seccomp);
native.becomeFiltered({ filter, argv: process.argv.slice(2), descriptors: [0, 1, 2, FD.args, FD.release] });
