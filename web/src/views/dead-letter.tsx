import type { JSX } from "preact";
import { replayCommand, showCommand } from "../commands";
import { fromIso } from "../format";
import type { DeadLetter } from "../types";
import { Bytes } from "./bytes";
import { Copy } from "./copy";
import { Fact, Facts } from "./parts";
import { Time } from "./time";

const STUB = "The original was too large for the topic: this stands for it, and tells where it is.";

export function DeadLetterCard({ letter }: { letter: DeadLetter }): JSX.Element {
  return (
    <li class="card">
      <div class="title">
        <h3>
          Partition {letter.partition}, offset {letter.offset}
        </h3>
        <span class="badge">{letter.reason}</span>
        <Moment text={letter.timestamp} />
      </div>
      {letter.detail && <p>{letter.detail}</p>}
      <Origin letter={letter} />
      {letter.is_stub && <p class="hint">{STUB}</p>}
      <Bytes name="Key" base64={letter.key} />
      <Bytes name="Value" base64={letter.value} size={letter.size} />
      <Command name="show" line={showCommand(letter)} />
      <Command name="replay" line={replayCommand(letter)} />
    </li>
  );
}

function Origin({ letter }: { letter: DeadLetter }): JSX.Element {
  const { original, failed_at, attempts, replays } = letter;
  return (
    <Facts>
      {original && (
        <>
          <Fact name="Origin">
            {original.topic}, partition {original.partition}, offset {original.offset}
          </Fact>
          <Fact name="Sent">
            <Moment text={original.timestamp} />
          </Fact>
        </>
      )}
      {failed_at && (
        <Fact name="Failed">
          <Moment text={failed_at} />
        </Fact>
      )}
      {attempts && <Fact name="Attempts">{attempts}</Fact>}
      <Fact name="Replays">{replays}</Fact>
    </Facts>
  );
}

/** Headers are text that anyone may have written: what is no time is shown as it is. */
function Moment({ text }: { text: string }): JSX.Element {
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
