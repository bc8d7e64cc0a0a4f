// The `gatehouse` command. What starts most often, `run`, is a bundle of its own: the others' parts are not read for it.
import { keepCompiledCode } from "./keep-compiled-code.ts";
import { endOnClosedOutput } from "./terminal/end-on-closed-output.ts";

endOnClosedOutput();
keepCompiledCode(process.env);
const [asked, ...options] = process.argv.slice(2);
const isElsewhere = options.some((option) => /^--node(=|$)/.test(option));
const part = asked === "run" && !isElsewhere ? "run-program" : "program";
await import(new URL(`${part}.js`, import.meta.url).href);
