// `gatehouse run` on this machine, alone.
import { callProgram } from "./call-program.ts";
import { runHere } from "./commands/run-here.ts";
import { declareRun } from "./declare-run.ts";
import { rootCommand } from "./root-command.ts";

const program = rootCommand();
declareRun(program, async () => runHere);
await callProgram(program);
