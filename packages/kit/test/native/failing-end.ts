// Makes one native call and ends, with the code 3.
import { native } from "../../src/index.ts";

process.exitCode = native.available ? 3 : 1;
