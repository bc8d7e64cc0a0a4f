import { getAllFields } from "../http1/fields.ts";
import { cgiName } from "./forwarded-fields.ts";
import { isOverride } from "./normalise-target.ts";
import type { RequestContext } from "./request-context.ts";

/** What a POST may become to a server that reads its method from a form (Rack's methods, those of PHP's frameworks). */
const METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "LINK", "UNLINK"] as const;

type FormKind = "urlencoded" | "multipart" | "json";
const KINDS: readonly (readonly [RegExp, FormKind])[] = [
  [/^multipart\//, "multipart"],
  [/^application\/(?:[^;,]*\+)?json/, "json"],
  [/^application\/x-www-form-urlencoded/, "urlencoded"],
];

/** A watch over the body of a request whose rights another method would change; `undefined` where there is nothing to watch. */
export function watchMethod(context: RequestContext): MethodInBody | undefined {
  const { head } = context;
  if (head.method.toUpperCase() !== "POST" || head.framing.kind === "none") return undefined;
  const kinds = kindsOf(context);
  return kinds.size > 0 && tellsMethodsApart(context) ? new MethodInBody(kinds) : undefined;
}

/** A body without a type is a form to some. */
function kindsOf({ head }: RequestContext): ReadonlySet<FormKind> {
  const names = new Set(
    head.fields.map(({ lowerName }) => lowerName).filter((name) => cgiName(name) === "content-type"),
  );
  const types = [...names].flatMap((name) => getAllFields(head.fields, name)).map((type) => type.toLowerCase());
  if (types.length === 0) return new Set(["urlencoded"]);
  return new Set(KINDS.flatMap(([type, kind]) => (types.some((one) => type.test(one)) ? [kind] : [])));
}

function tellsMethodsApart({ run, plan, host, port, path }: RequestContext): boolean {
  if (plan.injections.some(({ injection }) => injection.methods !== undefined)) return true;
  return METHODS.some((method) => run.policy.decide({ host, port, method, path }).action !== "allow");
}

/** Longer than every spelling of the name with what stands around it. */
const KEPT = 512;
// Each character of `_method` as it is or escaped; whether a text begins before it is not asked, so that none is missed.
const JSON_NAME = new RegExp(
  `"${[..."_method"].map((char) => `(?:${char}|\\\\u00${char.charCodeAt(0).toString(16)})`).join("")}"`,
  "i",
);
// No two parts of it that follow one another take the same character: what does not match is left in one pass.
const PART_NAME = /name\s*=\s*(?:["[\]][\s[\]]*)?((?:\\?[^"\\\s;,]){1,64})/gi;
/** A field of which the name could be one that is looked for. */
const CANDIDATE = /method|headers|%/i;
/** What servers pass over before a field's name, of any length. */
const FILLER = /^(?:[+\s[\]]|%(?:20|0[9a-d]|5[bd]))+/i;

/** Looks for `_method`, by which frameworks take another method from a form, in a body as it comes. */
export class MethodInBody {
  readonly #kinds: ReadonlySet<FormKind>;
  /** The end of what came, in which a name may have begun. */
  #kept = "";
  /** Of a form, the field that has begun, up to its value. */
  #field = "";

  constructor(kinds: ReadonlySet<FormKind>) {
    this.#kinds = kinds;
  }

  /** Whether the body names a method in what came now. Nothing of it may be sent on then. */
  sees(data: readonly Buffer[], isEnd: boolean): boolean {
    const text = data.map((piece) => piece.toString("latin1")).join("");
    const window = this.#kept + text;
    this.#kept = shortened(window).slice(-KEPT);
    if (this.#kinds.has("json") && JSON_NAME.test(window)) return true;
    if (this.#kinds.has("multipart") && [...window.matchAll(PART_NAME)].some(namesMethod)) return true;
    return this.#kinds.has("urlencoded") && this.#seesField(text, isEnd);
  }

  #seesField(text: string, isEnd: boolean): boolean {
    const fields = (this.#field + text).split(/[&;]/);
    const last = (fields.pop() ?? "").replace(FILLER, "");
    // Its value is of no use, and neither is a name that is longer than every spelling of the one that is looked for.
    this.#field = last.slice(0, Math.min(KEPT, last.indexOf("=") + 1 || KEPT));
    const whole = isEnd || last.includes("=") ? [...fields, last] : fields;
    return whole.some((field) => CANDIDATE.test(field) && isOverride(field.replace(FILLER, "").slice(0, KEPT)));
  }
}

const PASSED_OVER = " \t\r\n\f\v[]";

/** A text with what stands at its end before a name, of any length, as one space. */
function shortened(text: string): string {
  let end = text.length;
  while (end > 0 && PASSED_OVER.includes(text.charAt(end - 1))) end -= 1;
  return end === text.length ? text : `${text.slice(0, end)} `;
}

function namesMethod([, name = ""]: RegExpMatchArray): boolean {
  return isOverride(name.replaceAll(/\\(.)/g, "$1"));
}
