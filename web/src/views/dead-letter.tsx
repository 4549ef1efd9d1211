import type { JSX } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";
import { asText, fromBase64 } from "../bytes";
import { replayCommand, showCommand } from "../commands";
import { useApi } from "../context";
import { integer } from "../format";
import { gunzip, isGzip, type Decompressed } from "../gunzip";
import { useLoaded } from "../hooks";
import { uidOf } from "../json";
import { DEAD_LETTER, failureMessage } from "../messages";
import { isOrderId, orderFragment, type Coordinates } from "../route";
import type { WholeDeadLetter } from "../types";
import { Copy } from "./copy";
import { Fact, Facts, Scroll } from "./parts";
import { Replay } from "./replay";
import { HeaderTime } from "./time";
import { Value } from "./value";

const STUB = "The original was too large for this topic. This record contains its position instead.";

export function DeadLetterDetail({ partition, offset }: Coordinates): JSX.Element {
  const api = useApi();
  const load = useCallback(
    (signal: AbortSignal) => api.get<WholeDeadLetter>(`dead-letters/${partition}/${offset}`, signal),
    [api, partition, offset],
  );
  const { result } = useLoaded(load);
  return (
    <article class="panel" aria-labelledby="dead-letter-title">
      <h2 id="dead-letter-title">
        Partition {partition}, offset {offset}
      </h2>
      <p role="status" aria-label="Dead letter" class={result?.ok === false ? "bad" : "hint"}>
        {!result && "Loading …"}
        {result?.ok === false && failureMessage(result, DEAD_LETTER)}
      </p>
      {result?.ok && <Detail deadLetter={result.body} />}
    </article>
  );
}

function Detail({ deadLetter }: { deadLetter: WholeDeadLetter }): JSX.Element {
  const bytes = deadLetter.value === null ? null : fromBase64(deadLetter.value);
  return (
    <>
      <div class="columns even">
        <section aria-labelledby="why-title">
          <h3 id="why-title">
            Why: <span class={`badge reason ${deadLetter.reason}`}>{deadLetter.reason || "unknown"}</span>
          </h3>
          <ul class="rules">
            {deadLetter.detail.split("; ").map((rule) => (
              <li key={rule} class="bad">
                {rule}
              </li>
            ))}
          </ul>
          {deadLetter.is_stub && <p class="hint">{STUB}</p>}
          <Origin deadLetter={deadLetter} />
          <Headers deadLetter={deadLetter} />
          <Command name="show" line={showCommand(deadLetter)} />
          <Command name="replay" line={replayCommand(deadLetter)} />
        </section>
        <section aria-labelledby="value-title">
          <h3 id="value-title">Value</h3>
          {bytes ? (
            <Content key={deadLetter.value} bytes={bytes} size={deadLetter.size} detail={deadLetter.detail} />
          ) : (
            <p class="hint">none</p>
          )}
        </section>
      </div>
      {!deadLetter.is_stub && <Replay deadLetter={deadLetter} />}
    </>
  );
}

function Origin({ deadLetter }: { deadLetter: WholeDeadLetter }): JSX.Element {
  const { original, failed_at, attempts, replays, timestamp, key, value } = deadLetter;
  const uid = value === null ? null : uidOf(asText(fromBase64(value), false) ?? "");
  return (
    <Facts>
      {uid !== null && isOrderId(uid) && (
        <Fact name="Order">
          <a href={orderFragment(uid)}>{uid}</a>
        </Fact>
      )}
      <Fact name="Key">{key === null ? "none" : (asText(fromBase64(key), false) ?? "binary")}</Fact>
      {original && (
        <>
          <Fact name="Origin">
            {original.topic}, partition {original.partition}, offset {original.offset}
          </Fact>
          <Fact name="Sent">
            <HeaderTime text={original.timestamp} />
          </Fact>
        </>
      )}
      {failed_at && (
        <Fact name="Failed">
          <HeaderTime text={failed_at} />
        </Fact>
      )}
      <Fact name="Arrived">
        <HeaderTime text={timestamp} />
      </Fact>
      {attempts && <Fact name="Attempts">{attempts}</Fact>}
      <Fact name="Replays">{replays}</Fact>
    </Facts>
  );
}

function Headers({ deadLetter: { headers } }: { deadLetter: WholeDeadLetter }): JSX.Element {
  return (
    <details>
      <summary>Headers ({headers.length})</summary>
      <Scroll label="Headers">
        <table>
          <tbody>
            {headers.map(({ name, value }, position) => (
              <tr key={position}>
                <th scope="row">{name}</th>
                <td>{value ?? "none"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </details>
  );
}

function Command({ name, line }: { name: string; line: string }): JSX.Element {
  return (
    <div class="command">
      <code>{line}</code>
      <Copy label={`Copy ${name} command`} text={line} />
    </div>
  );
}

interface ContentProps {
  bytes: Uint8Array<ArrayBuffer>;
  size: number;
  detail: string;
}

/** A value as it is, or if it is gzip, what is in it. */
function Content({ bytes, size, detail }: ContentProps): JSX.Element {
  const [content, setContent] = useState<Decompressed | null>(null);
  useEffect(() => {
    if (isGzip(bytes)) void gunzip(bytes).then(setContent);
  }, []);
  if (!content?.bytes.length) return <Value bytes={bytes} size={size} detail={detail} />;
  return (
    <>
      <p class="hint">decompressed from {integer(size)} bytes of gzip</p>
      <Value bytes={content.bytes} size={content.isWhole ? content.bytes.length : null} detail={detail} />
    </>
  );
}
