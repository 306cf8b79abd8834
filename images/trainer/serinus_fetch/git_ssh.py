"""Git over SSH. Only servers whose keys we were told are talked to, and only with the key that we were given."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import paramiko
from dulwich.client import SSHVendor
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

from serinus_fetch.failures import Permanent, Transient

TIMEOUT: Final = 15.0
READ_TIMEOUT: Final = 120.0
_PORT: Final = 22
_KEYS: Final[tuple[type[paramiko.PKey], ...]] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)


@dataclass(frozen=True)
class Ssh(SSHVendor):
    """Runs Git's commands on a server: what dulwich would start the program ssh for."""

    key: str = field(repr=False)
    known_hosts: str = field(repr=False)

    def run_command(  # type: ignore[override]  # a connection of ours instead of a process
        self, host: str, command: bytes, username: str | None = None, port: int | None = None, **_: object
    ) -> "_Connection":
        """A connection to a command that runs on the server."""
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        _trust(client, self.known_hosts, host, port or _PORT)
        key = _private_key(self.key)
        try:
            _told(host, lambda: _log_in(client, host, port or _PORT, username or "git", key))
            return _told(host, lambda: _Connection(client, command))
        except BaseException:
            client.close()
            raise


def _log_in(client: paramiko.SSHClient, host: str, port: int, username: str, key: paramiko.PKey) -> None:
    client.connect(
        *(host, port, username),
        pkey=key,
        allow_agent=False,
        look_for_keys=False,
        timeout=TIMEOUT,
        banner_timeout=TIMEOUT,
        auth_timeout=TIMEOUT,
    )


class _Connection:
    """What dulwich needs of a process: its ends, and whether it said something."""

    def __init__(self, client: paramiko.SSHClient, command: bytes) -> None:
        transport = client.get_transport()
        if transport is None:
            raise Transient("the connection was lost")
        self._client = client
        self._channel = transport.open_session(timeout=TIMEOUT)
        self._channel.settimeout(READ_TIMEOUT)
        # A server may not allow it; then both speak Git's first protocol.
        self._channel.set_environment_variable("GIT_PROTOCOL", "version=2")
        self._channel.exec_command(command.decode())
        self.read = self._channel.makefile("rb").read
        self.stderr = self._channel.makefile_stderr("rb")

    def write(self, data: bytes) -> int:
        """Send all of it."""
        self._channel.sendall(data)
        return len(data)

    def can_read(self) -> bool:
        """Whether something came that was not read yet."""
        return self._channel.recv_ready()

    def close(self) -> None:
        """End the connection."""
        self._client.close()


def _trust(client: paramiko.SSHClient, known_hosts: str, host: str, port: int) -> None:
    """The lines of known_hosts; paramiko reads them from a file only, and we have a text."""
    known = client.get_host_keys()
    for line in filter(None, map(str.strip, known_hosts.splitlines())):
        if (entry := _entry(line)) is not None:
            for one in entry.hostnames:
                known.add(one, entry.key.get_name(), entry.key)
    name = host if port == _PORT else f"[{host}]:{port}"
    if known.lookup(name) is None:
        raise Permanent(
            f"there is no key to know {name} by: add its lines of known_hosts to the Secret that credentialsSecret "
            f"names (`ssh-keyscan -p {port} {host}` prints them; compare them with what its owner publishes)"
        )


def _entry(line: str) -> Any:  # noqa: ANN401 - the stubs know of no key in an entry
    try:
        return None if line.startswith("#") else HostKeyEntry.from_line(line)
    except (InvalidHostKey, paramiko.SSHException, ValueError):
        return None


def _private_key(text: str) -> paramiko.PKey:
    if not text.strip():
        raise Permanent("there is no SSH key: put ssh-privatekey into a Secret and name it in credentialsSecret")
    for kind in _KEYS:
        try:
            return kind.from_private_key(io.StringIO(text.strip() + "\n"))
        except paramiko.PasswordRequiredException:
            raise Permanent("ssh-privatekey of the Secret has a passphrase: give one without") from None
        except (paramiko.SSHException, ValueError, IndexError, UnicodeError):
            continue
    raise Permanent("ssh-privatekey of the Secret is no Ed25519, ECDSA or RSA key in PEM or OpenSSH's form: correct it")


def _told[T](host: str, action: Callable[[], T]) -> T:
    """What the action returns; the errors of SSH in the two kinds there are."""
    try:
        return action()
    except paramiko.BadHostKeyException as error:
        raise Permanent(
            f"{host} shows another {error.key.get_name()} key than known_hosts has: if the server's key was changed on "
            "purpose, correct known_hosts in the Secret; else somebody is in between"
        ) from error
    except paramiko.AuthenticationException as error:
        raise Permanent(f"{host} refuses the SSH key: let the key of the Secret read the repository") from error
    except paramiko.SSHException as error:
        if "not found in known_hosts" in str(error):
            raise Permanent(f"{host} shows a key that known_hosts does not have: add it to the Secret") from error
        raise Transient(f"the SSH connection to {host} failed ({type(error).__name__}: {error})") from error
