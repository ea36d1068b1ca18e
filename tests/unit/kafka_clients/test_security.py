from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from kafka_clients.security import check_security, security_options
from schemas.kafka_settings import KafkaSettings
from schemas.settings import SettingsError


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority."""
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """Return the paths of certificates and keys, of two clients, by file name."""
    mine, other = authority.issue_cert("me"), authority.issue_cert("other")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    mine.private_key_pem.write_to_path(tmp_path / "key.pem")
    mine.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    other.private_key_pem.write_to_path(tmp_path / "other-key.pem")
    key = serialization.load_pem_private_key(mine.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "encrypted-key.pem").write_bytes(encrypted)
    (tmp_path / "no.pem").write_text("no certificate")
    return {file.stem: str(file) for file in tmp_path.iterdir()}


@pytest.mark.parametrize(("cert", "key"), [("", ""), ("cert", "key"), ("both", "")])
def test_certificates_in_pem_are_used(cert: str, key: str, files: dict[str, str]) -> None:
    """With the key in a separate file, or in the certificate's file."""
    kafka = KafkaSettings(
        security_protocol="SSL",
        ssl_ca_file=files["ca"],
        ssl_cert_file=files.get(cert, ""),
        ssl_key_file=files.get(key, ""),
    )

    context = security_options(kafka)["ssl_context"]

    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("ca", "cert", "key", "message"),
    [
        ("no", "", "", "SSL_CA_FILE names .*no.pem, which holds no certificates"),
        ("ca", "no", "key", "SSL_CERT_FILE names .*no.pem"),
        ("ca", "cert", "no", "SSL_KEY_FILE names .*no.pem"),
        ("ca", "cert", "", "SSL_CERT_FILE names .*cert.pem: together they hold no"),
        ("ca", "cert", "other-key", "SSL_KEY_FILE names .* of another certificate"),
        ("ca", "cert", "encrypted-key", "SSL_KEY_FILE names .*, whose private key is encrypted"),
    ],
)
def test_an_unusable_file_is_reported(
    ca: str, cert: str, key: str, message: str, files: dict[str, str]
) -> None:
    """With its setting. An encrypted key does not prompt for a password."""
    kafka = KafkaSettings(
        security_protocol="SSL",
        ssl_ca_file=files[ca],
        ssl_cert_file=files.get(cert, ""),
        ssl_key_file=files.get(key, ""),
    )

    with pytest.raises(SettingsError, match=f"HEADRACE_KAFKA__{message}"):
        check_security(kafka)


async def test_a_renewed_token_is_used_for_the_next_connection(tmp_path: Path) -> None:
    """Tokens are valid for minutes; another process renews the file."""
    file = tmp_path / "token"
    file.write_text("first\n")
    kafka = KafkaSettings.model_validate(
        {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "OAUTHBEARER",
            "sasl_password_file": str(file),
        }
    )
    provider = security_options(kafka)["sasl_oauth_token_provider"]

    assert await provider.token() == "first"
    file.write_text("second\n")
    assert await provider.token() == "second"
