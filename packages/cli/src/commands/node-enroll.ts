import { openStateDirectory } from "@gatehouse/kit";
import { type EnrollProgress, enrollHost } from "@gatehouse/node";
import { EXIT_INTERRUPTED } from "../call-program.ts";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { readName } from "../read-name.ts";
import { printJson, printLine } from "../terminal/print.ts";
import { readCode } from "../terminal/read-code.ts";

/** Makes this host a node: claims a code, prints the fingerprint, waits for a person. May be interrupted and repeated. */
export async function enroll(invocation: Invocation): Promise<number> {
  const { path: stateDir } = await openStateDirectory(invocation.config.state.dir);
  const abort = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => abort.abort());
  const input = {
    stateDir,
    serverUrl: textOption(invocation, "server") ?? "",
    name: readName(textOption(invocation, "name") ?? "", "--name"),
    code: () => readCode(textOption(invocation, "codeFile"), "Enrollment code"),
  };
  const report = isSet(invocation, "json") ? reportAsJson : reportToPerson(input.name);
  try {
    for await (const progress of enrollHost(input, abort.signal)) report(progress);
    return 0;
  } catch (failure) {
    if (!abort.signal.aborted) throw failure;
    process.stderr.write("gatehouse: Interrupted. The same command goes on from here.\n");
    return EXIT_INTERRUPTED;
  }
}

function reportAsJson(progress: EnrollProgress): void {
  const { state, nodeId } = progress;
  if (state === "confirmed") printJson({ state });
  else printJson({ state, node_id: nodeId, fingerprint: progress.fingerprint });
}

function reportToPerson(name: string): (progress: EnrollProgress) => void {
  return (progress) => {
    if (progress.state === "confirmed") return printLine(`Confirmed. Next: gatehouse node run`);
    printLine(`Fingerprint: ${progress.fingerprint}`);
    printLine("Where the organisation's key is, somebody who sees this screen confirms it:");
    printLine(`  gatehouse nodes confirm ${name} --fingerprint ${progress.fingerprint}`);
    printLine("Waiting …");
  };
}
