export interface ServerEvent {
  id: string;
  kind: string;
  data: string;
}

// A carriage return at the end may be half of a line end: it waits for what follows.
const LINE_END = /\r\n|\n|\r(?!$)/;
const DIGITS = /^\d+$/;

/** Parses the text of an event stream, in pieces of any size, as the HTML standard describes it. */
export class EventParser {
  /** Milliseconds before reconnecting, when the server said so. */
  retry: number | null = null;
  private rest = "";
  private id: string;
  private kind = "";
  private data: string[] = [];

  /** `lastId` is that of the last event before, for `Last-Event-ID`. */
  constructor(public lastId = "") {
    this.id = lastId;
  }

  push(text: string): ServerEvent[] {
    const lines = (this.rest + text).split(LINE_END);
    this.rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.take(line));
  }

  private take(line: string): ServerEvent[] {
    if (line === "") return this.dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return []; // a comment
    const name = colon < 0 ? line : line.slice(0, colon);
    this.set(name, colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, ""));
    return [];
  }

  private set(name: string, value: string): void {
    if (name === "data") this.data.push(value);
    else if (name === "event") this.kind = value;
    else if (name === "id" && !value.includes("\0")) this.id = value;
    else if (name === "retry" && DIGITS.test(value)) this.retry = Number(value);
  }

  private dispatch(): ServerEvent[] {
    this.lastId = this.id;
    const event = { id: this.id, kind: this.kind || "message", data: this.data.join("\n") };
    const isEvent = this.data.length > 0;
    this.kind = "";
    this.data = [];
    return isEvent ? [event] : [];
  }
}
