"""One-time tokens of runners: what the daemon issues and the policy service verifies.

A token names a runner, the address of its guest, a moment of expiry and a random nonce, and is
signed. Nothing is kept of those that were issued; that one is used once only is seen to by whoever
verifies it, who keeps the nonces of those that were used. All tokens of one runner have one nonce:
it may be given several, as an answer can be lost, and can use one of them.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address
from secrets import token_hex

ANYWHERE = "*"
"""In place of an address: the token may be used from any."""

_VERSION = "v1"
_LONGEST = 1024


@dataclass(frozen=True)
class Claim:
    """What a token says that has been verified.

    Attributes:
        runner: its name.
        address: where it may be used, or `ANYWHERE`.
        expires_at: when it ceases to be good.
        nonce: hexadecimal; of those that have the same, one can be used.
    """

    runner: str
    address: str
    expires_at: datetime
    nonce: str


class Refusal(Enum):
    """Why a token is not good."""

    FORGED = "it is no token of ours"
    EXPIRED = "it has expired"
    ELSEWHERE = "it belongs to another address"


def nonce_of(runner: str, mark: str) -> str:
    """Give the nonce that all tokens of one runner have.

    Args:
        runner: its name.
        mark: what tells it from others that have had, or will have, that name.
    """
    return sha256(f"{runner} {mark}".encode()).hexdigest()[:32]


def issue(
    secret: bytes,
    runner: str,
    address: str,
    now: datetime,
    lifetime: timedelta,
    nonce: str | None = None,
) -> str:
    """Make a token; printable ASCII without blanks or quotes.

    Args:
        secret: signs it.
        runner: its name.
        address: of its guest, or `ANYWHERE`.
        now: the time.
        lifetime: how long it is good.
        nonce: of those that have the same, one can be used; a random one if not given.

    Raises:
        ValueError: the address is none.
    """
    bound = ANYWHERE if address == ANYWHERE else str(_address(address))
    says = {
        "runner": runner,
        "address": bound,
        "expires": int((now + lifetime).timestamp()),
        "nonce": nonce or token_hex(16),
    }
    text = f"{_VERSION}.{_encode(json.dumps(says, separators=(',', ':')).encode())}"
    return f"{text}.{_signature(secret, text)}"


def verify(secrets: Sequence[bytes], token: str, address: str, now: datetime) -> Claim | Refusal:
    """Read a token and judge it, except for whether it has been used.

    Args:
        secrets: any of them may have signed it.
        token: as it was presented: anything.
        address: where it was presented from.
        now: the time.
    """
    text, _, signature = token.rpartition(".")
    given = signature.encode(errors="replace")
    # All are compared, and each in constant time: how long it takes tells nothing.
    matches = [
        hmac.compare_digest(_signature(secret, text[:_LONGEST]).encode(), given)
        for secret in secrets
    ]
    if len(token) > _LONGEST or not any(matches):
        return Refusal.FORGED
    claim = _read(text)
    if now >= claim.expires_at:
        return Refusal.EXPIRED
    if claim.address != ANYWHERE and not _is_same(claim.address, address):
        return Refusal.ELSEWHERE
    return claim


def _read(text: str) -> Claim:
    says = json.loads(urlsafe_b64decode(text.removeprefix(f"{_VERSION}.")))
    return Claim(
        runner=says["runner"],
        address=says["address"],
        expires_at=datetime.fromtimestamp(says["expires"], timezone.utc),
        nonce=says["nonce"],
    )


def _signature(secret: bytes, text: str) -> str:
    return _encode(hmac.new(secret, text.encode(errors="replace"), sha256).digest())


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode()


def _is_same(bound: str, presented: str) -> bool:
    try:
        return _address(presented) == _address(bound)
    except ValueError:
        return False


def _address(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address
