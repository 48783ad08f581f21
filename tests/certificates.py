"""Certificates made for one run of the tests."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC)
LOOPBACK = x509.IPAddress(ip_address("127.0.0.1"))


@dataclass
class Authority:
    """A certificate authority of one test, with its files in a directory."""

    directory: Path
    name: str

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        builder = self._builder(self.subject, self.key, days=1).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.file = self._write("ca", builder.sign(self.key, hashes.SHA256()))

    def options(self, name: x509.GeneralName = LOOPBACK, *, days: int = 1) -> tuple[str, ...]:
        """Return the options of a database server with a certificate for `name`."""
        certificate, key = self.issue(name, days=days)
        return (f"--ssl-ca={self.file}", f"--ssl-cert={certificate}", f"--ssl-key={key}")

    def issue(self, name: x509.GeneralName = LOOPBACK, *, days: int = 1) -> tuple[Path, Path]:
        """Return the files of a certificate for `name` and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        builder = self._builder(subject, key, days=days).add_extension(
            x509.SubjectAlternativeName([name]), critical=False
        )
        certificate = self._write("server", builder.sign(self.key, hashes.SHA256()))
        key_file = self.directory / f"{self.name}-key.pem"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        return certificate, key_file

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=9))
            .not_valid_after(NOW + timedelta(days=days))
        )

    def _write(self, kind: str, certificate: x509.Certificate) -> Path:
        path = self.directory / f"{self.name}-{kind}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path
