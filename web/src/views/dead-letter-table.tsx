import type { JSX } from "preact";
import { asText, fromBase64 } from "../bytes";
import type { Coordinates } from "../route";
import type { DeadLetter } from "../types";
import { Scroll } from "./parts";
import { HeaderTime } from "./time";

interface TableProps {
  deadLetters: DeadLetter[];
  selected: Coordinates | null;
  linkTo: (chosen: Coordinates) => string;
}

export function DeadLetterTable({ deadLetters, selected, linkTo }: TableProps): JSX.Element {
  return (
    <Scroll label="Dead letters">
      <table class="dense">
        <caption class="visually-hidden">Dead letters, newest first</caption>
        <thead>
          <tr>
            <th scope="col">Dead letter</th>
            <th scope="col">Arrived</th>
            <th scope="col">Reason</th>
            <th scope="col">Key</th>
            <th scope="col">Detail</th>
            <th scope="col" class="figure">
              Replays
            </th>
          </tr>
        </thead>
        <tbody>
          {deadLetters.map((each) => (
            <Row key={`${each.partition}.${each.offset}`} deadLetter={each} isSelected={isSame(each, selected)} link={linkTo(each)} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

interface RowProps {
  deadLetter: DeadLetter;
  isSelected: boolean;
  link: string;
}

function Row({ deadLetter, isSelected, link }: RowProps): JSX.Element {
  const { partition, offset, timestamp, reason, key, detail, replays } = deadLetter;
  return (
    <tr aria-current={isSelected ? "true" : undefined}>
      <th scope="row">
        <a href={link}>
          {partition} / {offset}
        </a>
      </th>
      <td>
        <HeaderTime text={timestamp} isShort />
      </td>
      <td>
        <span class={`badge reason ${reason}`}>{reason || "unknown"}</span>
      </td>
      <td class="clipped" title={keyText(key)}>
        {keyText(key)}
      </td>
      <td class="clipped wide" title={detail}>
        {detail}
      </td>
      <td class="figure">{replays}</td>
    </tr>
  );
}

function keyText(base64: string | null): string {
  if (base64 === null) return "none";
  return asText(fromBase64(base64), true) ?? "binary";
}

function isSame({ partition, offset }: DeadLetter, selected: Coordinates | null): boolean {
  return partition === selected?.partition && offset === selected.offset;
}
