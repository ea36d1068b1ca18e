"""A cluster in which clients need TLS, a password and ACLs, as managed clusters do."""

from pathlib import Path
from typing import Self

from headrace.local.broker import ports
from tests.faults.cluster import Cluster
from tests.faults.cluster_broker import Broker
from tests.fixtures.secure_kafka import PASSWORD, USER, write_certificates

# Brokers and administrators use the plaintext listener, as the anonymous superuser. The limit of
# records is that of a batch of the smallest size; headrace sets a larger one for its topics.
_SETTINGS = """
listeners=BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller},LOGIN://127.0.0.1:{login}
advertised.listeners=BROKER://127.0.0.1:{broker},LOGIN://127.0.0.1:{login}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_SSL
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=false
sasl.enabled.mechanisms=PLAIN
listener.name.login.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
ssl.keystore.type=PEM
ssl.keystore.location=broker.pem
ssl.truststore.type=PEM
ssl.truststore.location=ca.pem
auto.create.topics.enable=false
message.max.bytes=16384
"""


class SecureCluster(Cluster):
    """Brokers with a listener for restricted users; `bootstrap` is that of administrators."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._files = folder / "client"
        self._logins = {broker.number: ports.free_port() for broker in self.brokers}

    async def __aenter__(self) -> Self:
        for broker in self.brokers:
            broker.home.mkdir(parents=True, exist_ok=True)
        write_certificates(self._files, [broker.home for broker in self.brokers])
        return await super().__aenter__()

    def settings_of(self, broker: Broker) -> str:
        """Return the settings of the listeners, and of authentication."""
        return _SETTINGS.format(
            broker=broker.port,
            controller=broker.controller_port,
            login=self._logins[broker.number],
            user=USER,
            password=PASSWORD,
        )

    def variables(self, prefix: str) -> dict[str, str]:
        """Return the settings of roles, as environment variables."""
        logins = ",".join(f"{ports.LOOPBACK}:{port}" for port in self._logins.values())
        settings = {
            "bootstrap_servers": logins,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "PLAIN",
            "sasl_username": USER,
            "sasl_password": PASSWORD,
            "ssl_ca_file": str(self._files / "ca.pem"),
            "topic_prefix": prefix,
        }
        return {f"HEADRACE_KAFKA__{name.upper()}": value for name, value in settings.items()}
