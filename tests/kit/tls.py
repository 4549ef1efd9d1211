"""Certificate authorities, certificates, and servers that require TLS."""

import subprocess
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from platform import machine, system

from local import broker, jars
from local.broker import Broker
from local.jars import Jar
from local.ports import HOST, free_port
from local.postgres import Tls
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.sasl import set_password

PROGRAMS = {
    ("Linux", "x86_64"): ("linux-amd64", "23da5a044b4fb7a5a081a45008c95749c873305328d73f86aefd56922ce1d29d"),
    ("Linux", "aarch64"): ("linux-arm64v8", "84427ea54a5238247924ef3b0f940e7d027e58760f19d7325242e50d22fa014a"),
    ("Darwin", "x86_64"): ("darwin-amd64", "f1d6d39896ca48e65d6dbcb492d809df0d4952c65299de8af6e08d2208eae3e0"),
    ("Darwin", "arm64"): ("darwin-arm64v8", "e87ee36767dee4f00f829d7a52e4a216e2fdebe5934c5683730940aabe570721"),
}
"""Builds of PostgreSQL with TLS, which the wheel's lack, and the SHA-256 of their jars, by system and machine."""
VERSION = "17.6.0"
SERVER_NAMES = ("DNS:localhost",)
"""127.0.0.1 is left out, so that it does not match the certificate."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Paths of a certificate and of its private key, both PEM."""

    certificate: Path
    key: Path

    @property
    def both(self) -> str:
        """The key and the certificate in one text, as Kafka reads them."""
        return self.key.read_text() + self.certificate.read_text()


class Authority:
    """A certificate authority with its files in `folder`, whose name is also its common name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate, self._key = folder / "ca.crt", folder / "ca.key"
        request = ("-x509", "-days", "2", "-subj", f"/CN={folder.name}", "-out", self.certificate)
        openssl("req", *_NEW_KEY, "-keyout", self._key, *request)

    def sign(self, subject: str, names: Sequence[str] = SERVER_NAMES) -> Certificate:
        """Return a new certificate for the common name `subject` and the names, such as `DNS:localhost`."""
        certificate = Certificate(self._folder / f"{subject}.crt", self._folder / f"{subject}.key")
        request, extensions = self._folder / "request.pem", self._folder / "extensions"
        extensions.write_text(f"subjectAltName={','.join(names)}\n")
        openssl("req", *_NEW_KEY, "-keyout", certificate.key, "-subj", f"/CN={subject}", "-out", request)
        signed = ("-CA", self.certificate, "-CAkey", self._key, "-days", "2", "-extfile", extensions)
        openssl("x509", "-req", "-in", request, *signed, "-out", certificate.certificate)
        return certificate


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=True, timeout=30)  # noqa: S603, S607


def postgres_programs(folder: Path) -> Path:
    """Return a folder with PostgreSQL programs that support TLS, laid out like the wheel's. The download is cached."""
    platform, digest = PROGRAMS[system(), machine()]
    jar = Jar("io.zonky.test.postgres", f"embedded-postgres-binaries-{platform}", VERSION, digest)
    cache = jars.cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    if not jar.is_in(cache):
        jars.download([jar], cache, ShutdownEvent())
    with zipfile.ZipFile(cache / jar.file_name) as packed:
        (name,) = (each for each in packed.namelist() if each.endswith(".txz"))
        with tarfile.open(fileobj=BytesIO(packed.read(name)), mode="r:xz") as files:
            files.extractall(folder / "pginstall17", filter="data")
    return folder


def postgres_tls(programs: Path, server: Certificate, clients: Authority) -> Tls:
    """Return settings with which the role `certified` logs in by certificate, and every other one by password."""
    access = "hostssl all certified all cert\nhostssl all all all scram-sha-256\n"
    certificate, key, client_ca = (each.read_text() for each in (server.certificate, server.key, clients.certificate))
    return Tls(programs, certificate, key, client_ca, access)


@dataclass(frozen=True, slots=True)
class Kafka:
    """A broker with two TLS listeners besides the plaintext one."""

    broker: Broker
    store: Path
    """The server's key and certificate, read when the broker starts."""
    sasl: int
    """Port for clients with a user and a password."""
    mutual: int
    """Port for clients with a certificate."""


@contextmanager
def kafka(folder: Path, server: Certificate, clients: Authority, *, user: str, password: str) -> Iterator[Kafka]:
    """Run a broker with this certificate and a user for SCRAM-SHA-512 and PLAIN."""
    plain, sasl, mutual, controller = (free_port() for _ in range(4))
    store = folder / "server.pem"
    store.write_text(server.both)
    package = "org.apache.kafka.common.security"
    properties = {
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "listeners": f"PLAINTEXT://{HOST}:{plain},SASL_SSL://{HOST}:{sasl},MUTUAL://{HOST}:{mutual},"
        f"CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{plain},SASL_SSL://localhost:{sasl},MUTUAL://localhost:{mutual}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,MUTUAL:SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(store),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(clients.certificate),
        "listener.name.mutual.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{package}.scram.ScramLoginModule required;",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": (
            f'{package}.plain.PlainLoginModule required user_{user}="{password}";'
        ),
    }
    with broker.kafka(folder / "kafka", port=plain, echo=print, properties=properties) as running:
        set_password(running.bootstrap_servers, user, password)
        yield Kafka(running, store, sasl, mutual)
