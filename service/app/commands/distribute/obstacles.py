"""Tells the user of `orders distribute` what prevents the distribution, and what to do."""

from typing import assert_never

from service.usecases.distribute import (
    ConnectedConsumers,
    ForeignKeysOfOthers,
    MisplacedTables,
    Obstacle,
    UnsuitableServer,
    WrongSchemaVersion,
)


def describe(obstacle: Obstacle) -> str:
    match obstacle:
        case UnsuitableServer(problem):
            return problem
        case WrongSchemaVersion(found, wanted) if found < wanted:
            return f"the schema is at {found:04}, this release needs {wanted:04}: run `orders migrate`"
        case WrongSchemaVersion(found):
            return f"the schema is at {found:04}, of a newer release than this one: run its `orders distribute`"
        case MisplacedTables(names):
            return (
                f"{', '.join(names)}: distributed in another way: run SELECT undistribute_table(…), "
                "with cascade_via_foreign_keys => true"
            )
        case ForeignKeysOfOthers(names):
            keys = ", ".join(names)
            return f"foreign keys to or from other tables: {keys}: drop them, or distribute these tables first"
        case ConnectedConsumers(number):
            return f"{number} consumers are connected: stop them first"
        case _:
            assert_never(obstacle)
