/** A value of a JSON text, with its position in the text. Unlike JSON.parse, it keeps digits and repeated keys. */
export interface JsonNode {
  kind: "object" | "array" | "string" | "number" | "literal";
  /** As in dead letters' details: `payment.amount`, `items[0].price`; "" for the whole document. */
  path: string;
  /** The name in the surrounding object, or null. */
  key: string | null;
  start: number;
  /** After the last character. */
  end: number;
  children: JsonNode[];
}

export class JsonSyntaxError extends Error {
  constructor(
    message: string,
    readonly position: number,
  ) {
    super(message);
  }
}

const SPACE = /[ \t\n\r]*/y;
const TEXT = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERAL = /true|false|null/y;
const MAX_DEPTH = 200;

/** Throws JsonSyntaxError with the position of the first character that breaks the syntax. */
export function parseTree(text: string): JsonNode {
  const parser = new Parser(text);
  const root = parser.value("", null, 0);
  parser.end();
  return root;
}

/** Return `line 2, column 3`, counted from 1. */
export function placeOf(text: string, position: number): string {
  const lines = text.slice(0, position).split("\n");
  return `line ${lines.length}, column ${(lines.at(-1) ?? "").length + 1}`;
}

/** Return the nodes with these paths. For a path that is missing, the innermost node around it. */
export function findPaths(root: JsonNode, paths: readonly string[]): Set<JsonNode> {
  return new Set(paths.map((path) => closest(root, path)));
}

/** Return the paths that a dead letter's detail names: `path: rule; path: rule`. */
export function pathsOf(detail: string): string[] {
  return detail.split("; ").flatMap((part) => /^([\w.[\]]+): /.exec(part)?.[1] ?? []);
}

function closest(node: JsonNode, path: string): JsonNode {
  const inner = node.children.findLast((child) => isWithin(path, child.path));
  return inner ? closest(inner, path) : node;
}

function isWithin(path: string, outer: string): boolean {
  return path === outer || path.startsWith(`${outer}.`) || path.startsWith(`${outer}[`);
}

class Parser {
  private position = 0;

  constructor(private readonly text: string) {}

  value(path: string, key: string | null, depth: number): JsonNode {
    if (depth > MAX_DEPTH) throw this.error("nested too deeply");
    this.space();
    const start = this.position;
    const node = (kind: JsonNode["kind"], children: JsonNode[] = []): JsonNode => {
      return { kind, path, key, start, end: this.position, children };
    };
    if (this.take("{")) return node("object", this.members(path, depth));
    if (this.take("[")) return node("array", this.elements(path, depth));
    if (this.match(TEXT)) return node("string");
    if (this.match(NUMBER)) return node("number");
    if (this.match(LITERAL)) return node("literal");
    throw this.error("a value is expected");
  }

  end(): void {
    this.space();
    if (this.position < this.text.length) throw this.error("the document has ended already");
  }

  private members(path: string, depth: number): JsonNode[] {
    return this.list("}", () => {
      this.space();
      const name = this.match(TEXT);
      if (name === null) throw this.error("a name in double quotes is expected");
      this.space();
      if (!this.take(":")) throw this.error("a colon is expected");
      const key = JSON.parse(name) as string;
      return this.value(path === "" ? key : `${path}.${key}`, key, depth + 1);
    });
  }

  private elements(path: string, depth: number): JsonNode[] {
    return this.list("]", (index) => this.value(`${path}[${index}]`, null, depth + 1));
  }

  private list(close: string, parse: (index: number) => JsonNode): JsonNode[] {
    const children: JsonNode[] = [];
    this.space();
    if (this.take(close)) return children;
    for (;;) {
      children.push(parse(children.length));
      this.space();
      if (this.take(close)) return children;
      if (!this.take(",")) throw this.error(`a comma or ${close} is expected`);
    }
  }

  private space(): void {
    this.match(SPACE);
  }

  private take(character: string): boolean {
    if (this.text[this.position] !== character) return false;
    this.position += 1;
    return true;
  }

  private match(pattern: RegExp): string | null {
    pattern.lastIndex = this.position;
    const found = pattern.exec(this.text)?.[0] ?? null;
    this.position += found?.length ?? 0;
    return found;
  }

  private error(message: string): JsonSyntaxError {
    return new JsonSyntaxError(message, this.position);
  }
}

/** Format a JSON text, two spaces a level, without changing any value. Throws JsonSyntaxError. */
export function pretty(text: string): string {
  return print(text, parseTree(text), "");
}

function print(text: string, node: JsonNode, indent: string): string {
  if (node.children.length === 0) return text.slice(node.start, node.end);
  const inner = `${indent}  `;
  const lines = node.children.map((child) => `${inner}${name(child)}${print(text, child, inner)}`);
  const [open, close] = node.kind === "object" ? "{}" : "[]";
  return `${open}\n${lines.join(",\n")}\n${indent}${close}`;
}

function name({ key }: JsonNode): string {
  return key === null ? "" : `${JSON.stringify(key)}: `;
}
