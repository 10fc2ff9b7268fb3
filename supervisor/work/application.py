"""The work on the runner application, as calls that block and return what is there.

A worker runs it in its thread. Nothing is raised that is the network's, the disk's or an archive's.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from loguru import logger

from supervisor.gateways.application_store import ARCHIVE, StoreError, digest_of, opened
from supervisor.gateways.downloads import (
    USUAL,
    DownloadFailed,
    DownloadRefused,
    Limits,
    download,
)
from supervisor.text import sizes
from supervisor.upgrades.archive import examine
from supervisor.upgrades.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from supervisor.gateways.application_store import ApplicationStore
    from supervisor.upgrades.application import Application
    from supervisor.web.proxies import Proxies

__all__ = ["NotObtained", "Obtained", "Progress", "obtain", "prune", "verify_current"]


@dataclass(frozen=True)
class Obtained:
    """An application is the current one, and was verified by this process.

    Attributes:
        application: which one.
        took_s: how long it took, in seconds.
        was_there: nothing had to be downloaded.
    """

    application: Application
    took_s: float
    was_there: bool


@dataclass(frozen=True)
class NotObtained:
    """It is not, and why; the last good one stays.

    Attributes:
        application: which one.
        reason: for the operator.
        refused: it is no good, as far as can be told; got again, it most likely is the same.
    """

    application: Application
    reason: str
    refused: bool = False


class _Bad(Exception):
    """What has arrived is not to be used; the message says why."""


def obtain(
    store: ApplicationStore,
    offer: Application,
    proxies: Proxies,
    progress: Progress,
    limits: Limits = USUAL,
) -> Obtained | NotObtained:
    """See to it that what GitHub offers is there, verified and examined, and switch to it.

    What is there and right is not downloaded again; what an earlier try has left is gone on with.

    Args:
        store: where it goes.
        offer: what GitHub offers.
        proxies: those that are configured.
        progress: is told how far the download is.
        limits: what the download may take.
    """
    begun = monotonic()
    try:
        store.prepare()
        store.forget_others(offer.sha256)
        was_there = _have(store, offer)
        if not was_there:
            _fetch(store, offer, proxies, progress, limits)
        if store.current() != offer:
            store.switch(offer)
            logger.info("the runner application is {} now", offer.filename)
    except (DownloadRefused, _Bad) as error:
        return NotObtained(offer, str(error), refused=True)
    except (StoreError, DownloadFailed) as error:
        return NotObtained(offer, str(error))
    except OSError as error:
        return NotObtained(offer, f"{offer.filename} can't be read: {error.strerror}")
    return Obtained(offer, monotonic() - begun, was_there)


def verify_current(store: ApplicationStore) -> Application | None:
    """Find the version to begin with: the current one, if it is what it was when it was verified.

    One that is not is removed, and an older one that is right is switched to. A daemon that has
    started believes no file that it has not hashed itself.

    Returns:
        The current one, or None if there is none.
    """
    try:
        store.prepare()
        current = store.current()
        others = [one for one in store.kept() if current is None or one.sha256 != current.sha256]
        for application in (*([current] if current else []), *others):
            if not _have(store, application):
                continue
            if application != current:
                store.switch(application)
                logger.warning("the runner application is {} again", application.filename)
            return application
    except StoreError as error:
        logger.error("the runner applications on disk can't be used: {}", error)
    return None


def prune(store: ApplicationStore, in_use: frozenset[str]) -> tuple[str, ...]:
    """Remove old versions; the current one and the one before it stay, and what is in use or held.

    Args:
        store: where they are.
        in_use: SHA-256s.

    Returns:
        The SHA-256s of those that were removed.
    """
    removed = []
    try:
        current = store.current()
        kept = [one.sha256 for one in store.kept()]
        others = [sha256 for sha256 in kept if current is None or sha256 != current.sha256]
        for sha256 in others[1:]:
            if sha256 not in in_use and not store.is_held(sha256):
                store.discard(sha256)
                removed.append(sha256)
    except StoreError as error:
        logger.warning("old runner applications stay: {}", error)
    return tuple(removed)


def _have(store: ApplicationStore, wanted: Application) -> bool:
    """Tell whether a version is there and right; one that has other bytes is removed.

    One that can't be read is as good as none: what is obtained again takes its place.

    Raises:
        StoreError: it can't be removed.
    """
    if store.is_verified(wanted.sha256):
        return True
    try:
        is_right = digest_of(store.archive(wanted.sha256)) == wanted.sha256
    except FileNotFoundError:
        return False
    except OSError as error:
        logger.error("{} on disk can't be read: {}", wanted.filename, error.strerror)
        return False
    if not is_right:
        logger.error("{} on disk is not what was verified: it is removed", wanted.filename)
        store.discard(wanted.sha256)
        return False
    store.note_verified(wanted.sha256)
    return True


def _fetch(
    store: ApplicationStore,
    offer: Application,
    proxies: Proxies,
    progress: Progress,
    limits: Limits,
) -> None:
    begun = monotonic()
    archive = store.incoming(offer.sha256) / ARCHIVE
    # A whole one that is not verified yet is there if the process was killed just then.
    if not archive.exists():
        logger.info("downloading {}", offer.filename)
        download(
            offer.url,
            archive,
            sha256=offer.sha256,
            proxies=proxies,
            progress=progress,
            limits=limits,
        )
    size = archive.stat().st_size
    if wrong := _fault(archive, offer):
        store.discard(offer.sha256)
        raise _Bad(f"{offer.filename} is not used: {wrong}")
    store.admit(offer)
    took_s = monotonic() - begun
    logger.info("{}: {} in {:.1f} s, verified", offer.filename, sizes.in_words(size), took_s)


def _fault(archive: Path, offer: Application) -> str:
    digest = digest_of(archive)
    if digest != offer.sha256:
        return f"its SHA-256 is {digest}, and GitHub announces {offer.sha256}"
    with opened(archive) as file:
        return examine(file, archive.stat().st_size)
