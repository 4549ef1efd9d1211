export interface ServerEvent {
  id: string;
  kind: string;
  data: string;
}

// A carriage return at the end may be the first half of a line end, and stays in the buffer.
const LINE_END = /\r\n|\n|\r(?!$)/;
const DIGITS = /^\d+$/;

/** Parses an event stream in chunks of any size, as the HTML standard specifies. */
export class EventParser {
  /** The server's reconnection delay in milliseconds, if it sent one. */
  retry: number | null = null;
  private buffer = "";
  private id: string;
  private kind = "";
  private data: string[] = [];

  /** `lastId` is the id of the last event of the previous connection. */
  constructor(public lastId = "") {
    this.id = lastId;
  }

  push(text: string): ServerEvent[] {
    const lines = (this.buffer + text).split(LINE_END);
    this.buffer = lines.pop() ?? "";
    return lines.flatMap((line) => this.parseLine(line));
  }

  private parseLine(line: string): ServerEvent[] {
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
