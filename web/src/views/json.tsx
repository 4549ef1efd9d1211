import type { JSX } from "preact";
import type { JsonNode } from "../json-tree";
import { showHidden } from "../bytes";

interface JsonProps {
  text: string;
  root: JsonNode;
  /** Nodes that violate a rule. */
  marked?: ReadonlySet<JsonNode>;
}

/** A JSON document whose objects and arrays fold. Everything is text, never markup. */
export function Json({ text, root, marked = new Set() }: JsonProps): JSX.Element {
  return (
    <div class="json">
      <Node text={text} node={root} marked={marked} />
    </div>
  );
}

interface NodeProps {
  text: string;
  node: JsonNode;
  marked: ReadonlySet<JsonNode>;
}

function Node({ text, node, marked }: NodeProps): JSX.Element {
  const label = <Label node={node} isMarked={marked.has(node)} />;
  if (node.children.length === 0) {
    const value = <span class={node.kind}>{showHidden(text.slice(node.start, node.end))}</span>;
    return (
      <>
        {label}
        {marked.has(node) ? <mark>{value}</mark> : value}
      </>
    );
  }
  return (
    <details open>
      <summary>
        {label}
        <span class="tally">{tally(node)}</span>
      </summary>
      <ul>
        {node.children.map((child) => (
          <li key={child.start}>
            <Node text={text} node={child} marked={marked} />
          </li>
        ))}
      </ul>
    </details>
  );
}

function Label({ node, isMarked }: { node: JsonNode; isMarked: boolean }): JSX.Element | null {
  if (node.key === null) return isMarked ? <mark>here </mark> : null;
  const name = <span class="key">{showHidden(JSON.stringify(node.key))}</span>;
  return <>{isMarked && node.children.length > 0 ? <mark>{name}</mark> : name}: </>;
}

function tally({ kind, children }: JsonNode): string {
  const count = children.length;
  if (kind === "array") return `[ ${count} ${count === 1 ? "element" : "elements"} ]`;
  return `{ ${count} ${count === 1 ? "field" : "fields"} }`;
}
