"""Guarantees of replays and erasures that only the simulation breaks."""

from typing import Final

from tests.faults.mutations.mutation import Mutation
from tests.faults.replace import Replacement

_REPLAY: Final = "service/usecases/replay.py"
_PRODUCER: Final = "service/handler/kafka/dead_letters/replay.py"
_ERASE: Final = "service/usecases/erase.py"
_READER: Final = "service/handler/kafka/client/topic_reader.py"

MUTATIONS: Final = (
    Mutation(
        "a replay waits for acknowledgements",
        Replacement(_PRODUCER, "ReplayProducer._attempt", "not flush(...)", "False"),
        (),
    ),
    Mutation(
        "a replay ends with an error if its topic rejects a dead letter",
        Replacement(_PRODUCER, "ReplayProducer._too_large", "error.code() not in TOO_LARGE", "False"),
        (),
    ),
    Mutation(
        "a replay commits only what it has sent",
        Replacement(_REPLAY, "Replay.run", "each.offset + 1", "each.offset + 2"),
        (),
    ),
    Mutation(
        "replays are counted",
        Replacement(_PRODUCER, "replay_headers", "str(dead_letter.replays + 1)", "'1'"),
        (),
    ),
    Mutation(
        "a dead letter returns to its partition",
        Replacement(_PRODUCER, "ReplayProducer._produce", "partition not in existing[topic]", "True"),
        (),
    ),
    Mutation(
        "an edit cannot make a dead letter that of another order",
        Replacement(_REPLAY, "ReplayPlan._edit_refusal", "order_uid == edited.order_uid", "True"),
        (),
    ),
    Mutation(
        "a replay of a recreated dead-letter topic starts at its beginning",
        Replacement(_READER, "TopicReader.committed", "not self._id.contradicts(each)", "True"),
        (),
    ),
    Mutation(
        "an erasure lists all dead letters of its orders",
        Replacement("service/handler/kafka/dead_letters/reading.py", "search", "topic.starts", "topic.committed()"),
        (),
    ),
    Mutation(
        "an erasure is not undone if a topic has a record of the order",
        Replacement(_ERASE, "undo", "uid not in existing", "True"),
        (),
    ),
    Mutation(
        "an undo reports records that arrived in the meantime",
        Replacement(_ERASE, "undo", "records.find(undoable)", "{}"),
        (),
    ),
)
