import pytest

from service.app.commands.distribute.obstacles import describe
from service.usecases.distribute import (
    ConnectedConsumers,
    ForeignKeysOfOthers,
    MisplacedTables,
    Obstacle,
    UnsuitableServer,
    WrongSchemaVersion,
)


@pytest.mark.parametrize(
    ("obstacle", "text"),
    [
        (UnsuitableServer("connect to the coordinator"), "connect to the coordinator"),
        (WrongSchemaVersion(1, 2), "the schema is at 0001, this release needs 0002: run `orders migrate`"),
        (
            WrongSchemaVersion(3, 2),
            "the schema is at 0003, of a newer release than this one: run its `orders distribute`",
        ),
        (
            MisplacedTables(["items"]),
            (
                "items: distributed in another way: run SELECT undistribute_table(…), "
                "with cascade_via_foreign_keys => true"
            ),
        ),
        (
            ForeignKeysOfOthers(["notes.a_key", "notes.b_key"]),
            (
                "foreign keys to or from other tables: notes.a_key, notes.b_key: "
                "drop them, or distribute these tables first"
            ),
        ),
        (ConnectedConsumers(2), "2 consumers are connected: stop them first"),
    ],
)
def test_each_obstacle_says_what_to_do(obstacle: Obstacle, text: str) -> None:
    assert describe(obstacle) == text
