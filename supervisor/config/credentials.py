"""What the operator gives us to ask GitHub with: a token, or the key of a GitHub App."""

import os
import re
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from supervisor.config import (
    CREDENTIALS_DIRECTORY,
    OTHERS,
    Config,
    ConfigError,
    without_waiting,
)
from supervisor.github.credential import (
    ONE_PLAIN_LINE,
    AppKey,
    Credential,
    PersonalToken,
    is_token,
)

_LONGEST = 64 * 1024
_BUT_AN_ACL = 0o037
"""The part of a mode that is not the owner's, but for what the mask of an access list shows as."""
_PEM_LABEL = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")
_NO_KEYS = {
    "CERTIFICATE": "a certificate",
    "PUBLIC": "a public key",
    "OPENSSH": "in OpenSSH's own format",
}

__all__ = ["AppKey", "Credential", "PersonalToken", "read", "read_policy_token", "stamp"]


def read(config: Config) -> Credential:
    """Read the credential; from its file anew each time, so that a changed one takes effect.

    Raises:
        ConfigError: the file can't be read, is open to others, or holds something else.
    """
    if config.app is not None:
        key = config.app.private_key_file
        text = _read(key, "app.private-key-file")
        _check_key(text, f"app.private-key-file: {key}")
        return AppKey(config.app.id, config.app.installation_id, text)
    return PersonalToken(_token(config.token, config.token_file, "token-file"))


def read_policy_token(config: Config) -> str:
    """Read the token that an external policy service knows us by; from its file anew each time.

    Raises:
        ConfigError: the file can't be read, is open to others, or holds something else.
    """
    return _token(config.policy.token, config.policy.token_file, "policy.token-file")


def stamp(config: Config) -> object:
    """Give a value that changes when the credential may have: cheap, for every call.

    A link is followed: those who keep secrets on disk replace what it points to.
    """
    given = (config.token, config.token_file, config.app)
    file = config.app.private_key_file if config.app else config.token_file
    if file is None:
        return given
    try:
        found = _place(file).stat()
    except KeyError:
        return given
    except OSError as error:
        return (*given, error.errno)
    return (*given, found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode)


def _token(given: SecretStr | None, path: Path | None, key: str) -> str:
    """Give a token that stands in the configuration, or else in a file."""
    if given is not None:
        return given.get_secret_value()
    assert path is not None  # noqa: S101 - the model sees to it
    token = _read(path, key).strip()
    if not is_token(token):
        problem = ONE_PLAIN_LINE if token else "is empty"
        raise ConfigError(f"{key}: {path}: {problem}")
    return token


def _is_systemds(path: Path) -> bool:
    return path.parts[0] == CREDENTIALS_DIRECTORY


def _place(path: Path) -> Path:
    """Say where a secret is: what systemd keeps for us is where it says (systemd.exec(5)).

    Raises:
        KeyError: it says nothing.
    """
    if not _is_systemds(path):
        return path
    return Path(os.environ[CREDENTIALS_DIRECTORY.removeprefix("$")], path.name)


def _read(path: Path, key: str) -> str:
    source = f"{key}: {path}"
    try:
        # Not to wait for a writer, should it be a named pipe.
        with open(_place(path), "rb", opener=without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ConfigError(f"{source}: is not a regular file")
            content = file.read(_LONGEST + 1)
    except KeyError as error:
        raise ConfigError(
            f"{source}: CREDENTIALS_DIRECTORY is not set in the environment: systemd sets it for a "
            "unit with LoadCredential="
        ) from error
    except OSError as error:
        raise ConfigError(f"{source}: can't be read: {error.strerror}") from error
    mode = stat.S_IMODE(found.st_mode)
    # systemd gives a service its credentials by an access list, where its file system has those.
    if mode & (_BUT_AN_ACL if _is_systemds(path) else OTHERS):
        raise ConfigError(
            f"{source}: the file is open to others (mode {mode:04o}); `chmod 600 {path}`"
        )
    if len(content) > _LONGEST:
        raise ConfigError(f"{source}: is longer than {_LONGEST // 1024} KiB")
    return content.decode("ascii", errors="replace")


def _check_key(text: str, source: str) -> None:
    problem = _problem_of_key(text)
    if problem:
        rule = "must be the App's RSA private key in PEM, as GitHub generates it"
        raise ConfigError(f"{source}: {problem}; {rule}")


def _problem_of_key(text: str) -> str:
    """Say why it is no key of an App: in words of our own, as those of others may quote it."""
    if not text.strip():
        return "is empty"
    label = _PEM_LABEL.search(text)
    if label is None:
        return "is not PEM"
    what = next((what for word, what in _NO_KEYS.items() if word in label[1]), "")
    return f"is {what}" if what else _problem_of_pem(text)


def _problem_of_pem(text: str) -> str:
    try:
        key = load_pem_private_key(text.encode(errors="replace"), password=None)
    except TypeError:
        return "is encrypted"
    except (ValueError, UnsupportedAlgorithm):
        return "is damaged, or not a private key"
    if isinstance(key, RSAPrivateKey):
        return ""
    is_elliptic = isinstance(key, EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey)
    return "is an elliptic-curve key" if is_elliptic else "is a key of another kind than RSA"
