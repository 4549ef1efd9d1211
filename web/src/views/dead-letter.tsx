import type { JSX } from "preact";
import { replayCommand, showCommand } from "../commands";
import { fromIso } from "../format";
import type { DeadLetter } from "../types";
import { Bytes } from "./bytes";
import { Copy } from "./copy";
import { Fact, Facts } from "./parts";
import { Time } from "./time";

const STUB = "The original was too large for this topic. This record contains its position instead.";

export function DeadLetterCard({ deadLetter }: { deadLetter: DeadLetter }): JSX.Element {
  return (
    <li class="card">
      <div class="title">
        <h3>
          Partition {deadLetter.partition}, offset {deadLetter.offset}
        </h3>
        <span class="badge">{deadLetter.reason}</span>
        <HeaderTime text={deadLetter.timestamp} />
      </div>
      {deadLetter.detail && <p>{deadLetter.detail}</p>}
      <Origin deadLetter={deadLetter} />
      {deadLetter.is_stub && <p class="hint">{STUB}</p>}
      <Bytes name="Key" base64={deadLetter.key} />
      <Bytes name="Value" base64={deadLetter.value} size={deadLetter.size} />
      <Command name="show" line={showCommand(deadLetter)} />
      <Command name="replay" line={replayCommand(deadLetter)} />
    </li>
  );
}

function Origin({ deadLetter }: { deadLetter: DeadLetter }): JSX.Element {
  const { original, failed_at, attempts, replays } = deadLetter;
  return (
    <Facts>
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
      {attempts && <Fact name="Attempts">{attempts}</Fact>}
      <Fact name="Replays">{replays}</Fact>
    </Facts>
  );
}

/** A time from a header. Producers can write anything there: other text is shown unchanged. */
function HeaderTime({ text }: { text: string }): JSX.Element {
  const at = fromIso(text);
  return at ? <Time at={at} /> : <>{text}</>;
}

function Command({ name, line }: { name: string; line: string }): JSX.Element {
  return (
    <div class="command">
      <code>{line}</code>
      <Copy label={`Copy ${name} command`} text={line} />
    </div>
  );
}
