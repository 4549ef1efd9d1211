"""Users of Kafka, and a broker whose clients must log in again every few seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from local import broker
from local.ports import HOST, free_port

REAUTHENTICATION_SECONDS = 2
"""After this time a client must log in again, or the broker closes its connection."""
_PACKAGE = "org.apache.kafka.common.security"
_MODULES = {
    "scram-sha-512": f"{_PACKAGE}.scram.ScramLoginModule required;",
    "oauthbearer": f'{_PACKAGE}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";',
}
"""The broker accepts every unsigned token that has not expired."""


def set_password(bootstrap_servers: str, user: str, password: str) -> None:
    """Create the SCRAM-SHA-512 credential of a user, or replace it."""
    credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4_096)
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    admin.alter_user_scram_credentials([UserScramCredentialUpsertion(user, credential, password.encode())])[
        user
    ].result(10)


@dataclass(frozen=True, slots=True)
class Kafka:
    """Addresses of a broker: one without a login, and one for SCRAM-SHA-512 and OAUTHBEARER."""

    plain: str
    sasl: str


@contextmanager
def kafka(folder: Path) -> Iterator[Kafka]:
    plain, sasl, controller = (free_port() for _ in range(3))
    listener = "listener.name.sasl_plaintext"
    properties = {
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "listeners": f"PLAINTEXT://{HOST}:{plain},SASL_PLAINTEXT://{HOST}:{sasl},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{plain},SASL_PLAINTEXT://{HOST}:{sasl}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": ",".join(_MODULES).upper(),
    }
    for mechanism, module in _MODULES.items():
        properties[f"{listener}.{mechanism}.sasl.jaas.config"] = module
        properties[f"{listener}.{mechanism}.connections.max.reauth.ms"] = str(REAUTHENTICATION_SECONDS * 1_000)
    with broker.kafka(folder, port=plain, echo=print, properties=properties) as running:
        yield Kafka(running.bootstrap_servers, f"{HOST}:{sasl}")
