"""The keys of one throw-away cluster: one authority, and a certificate for each who speaks."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.cluster.layout import Identity

LIFETIME = timedelta(days=365)


class Authority:
    """A certificate authority that lives in one folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"serinus-{name}")])
        builder = self._builder(self._subject, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        _write_certificate(folder / f"{name}.crt", builder.sign(self._key, hashes.SHA256()))

    def issue(self, identity: Identity) -> None:
        """Write `<file>.crt` and `<file>.key`, good for both ends of a connection."""
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, identity.user)]
        if identity.group:
            attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.group))
        builder = self._builder(x509.Name(attributes), key.public_key())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if identity.names:
            alternatives = x509.SubjectAlternativeName(_general_names(identity.names))
            builder = builder.add_extension(alternatives, critical=False)
        _write_certificate(self._folder / f"{identity.file}.crt", builder.sign(self._key, hashes.SHA256()))
        write_key(self._folder / f"{identity.file}.key", key)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + LIFETIME)
        )


def write_service_account_key(path: Path) -> None:
    """The key that signs the tokens of service accounts (RSA, as every client library expects)."""
    write_key(path, rsa.generate_private_key(public_exponent=65537, key_size=2048))


def write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    """Write a private key that only its owner can read."""
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.touch(mode=0o600)
    path.write_bytes(text)


def _write_certificate(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _general_names(names: Iterable[str]) -> list[x509.GeneralName]:
    return [x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names]
