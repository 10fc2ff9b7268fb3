"""The daemon's configuration and credentials on the disk: a candidate first, then all at once.

A candidate is written beside what is in use, where the daemon's own check reads it. What is in use
is replaced only by one that was found to be right, in an order in which the service could be
started at each moment: a hook that is killed in between leaves nothing that the next one would not
complete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from . import files
from .errors import MachineError
from .files import Owner
from .places import Places
from .supervisor import Given

_SCRIPT_KEY = "image-script"
_CONFIG, _CREDENTIALS, _SCRIPT = "config.yaml", "credentials", "image.sh"
_SCRIPT_MODE = 0o640
_LINE = 100


@dataclass(frozen=True)
class Wanted:
    """What the daemon is to be told.

    Attributes:
        document: the configuration.
        credentials: what a file of each name holds, for `$CREDENTIALS_DIRECTORY`. They are in no
            representation of this.
        image_script: the text of the operator's script; empty without one.
    """

    document: Mapping[str, Any]
    credentials: Mapping[str, str] = field(repr=False)
    image_script: str = ""

    @property
    def text(self) -> str:
        """The configuration as it is written."""
        return text_of(self.document)


class Configuration:
    """That of one machine.

    Args:
        places: where it is.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._candidate = Given(
            places.config.with_name("config.yaml.new"),
            places.credentials.with_name("credentials.new"),
        )
        self._script = places.image_script.with_name("image.sh.new")

    @property
    def exists(self) -> bool:
        """Whether the daemon has been told anything yet."""
        return self._places.config.exists()

    @property
    def in_use(self) -> Given:
        """What the daemon has, as root knows it."""
        return Given(self._places.own_config, self._places.credentials)

    @property
    def has_former(self) -> bool:
        """Whether something is kept that can be put back."""
        return self._places.former.exists()

    def holds(self, wanted: Wanted, owner: Owner) -> bool:
        """Tell whether the files are what is wanted.

        Args:
            wanted: by the operator.
            owner: the daemon's user.
        """
        at = self._places
        return (
            files.is_like(at.config, wanted.text, owner=owner)
            and files.is_like(at.own_config, wanted.text)
            and files.names(at.credentials) == set(wanted.credentials)
            and all(
                files.is_like(at.credentials / name, text)
                for name, text in wanted.credentials.items()
            )
            and self._holds_script(wanted.image_script, owner)
        )

    @contextmanager
    def candidate(self, wanted: Wanted, owner: Owner) -> Iterator[Given]:
        """Write a candidate, which is gone again at the end.

        Args:
            wanted: by the operator.
            owner: the daemon's user.

        Raises:
            OSError: it can't be written.
        """
        new = self._candidate
        document = dict(wanted.document)
        files.make_directory(self._places.settings, 0o755)
        self.discard_candidate()
        try:
            files.make_directory(new.credentials, 0o700)
            for name, text in wanted.credentials.items():
                files.write(new.credentials / name, text)
            if not self._holds_script(wanted.image_script, owner):
                script, readers = wanted.image_script, _readable_by(owner)
                files.write(self._script, script, mode=_SCRIPT_MODE, owner=readers)
                # It is read where the configuration says, and the one in use stays meanwhile.
                document |= {_SCRIPT_KEY: str(self._script)} if wanted.image_script else {}
            files.write(new.config, text_of(document), owner=owner)
            yield new
        finally:
            self.discard_candidate()

    def switch(self, wanted: Wanted, owner: Owner, load: Callable[[Iterable[str]], object]) -> None:
        """Have what is wanted be in use; it is, or is not yet, whenever this ends.

        Args:
            wanted: by the operator, and found to be right.
            owner: the daemon's user.
            load: has the service be given the credentials of these names.

        Raises:
            MachineError: what is wanted no more can't be removed.
            OSError: it can't be written.
        """
        self._put(wanted.text, wanted.credentials, wanted.image_script, owner, load)

    def keep(self) -> None:
        """Keep what is in use, to be put back should another version not come up.

        Raises:
            MachineError: what was kept before can't be removed.
            OSError: it can't be written.
        """
        at, new = self._places, self._places.former.with_name("former.new")
        self.forget_former()
        files.make_directory(new, 0o700)
        files.make_directory(new / _CREDENTIALS, 0o700)
        for name in files.names(at.credentials):
            files.write(new / _CREDENTIALS / name, files.read(at.credentials / name))
        if at.image_script.exists():
            files.write(new / _SCRIPT, files.read(at.image_script))
        files.write(new / _CONFIG, files.read(at.own_config))
        new.rename(at.former)

    def put_back(self, owner: Owner, load: Callable[[Iterable[str]], object]) -> None:
        """Have what was kept be in use again; it is, or is kept still, whenever this ends.

        Args:
            owner: the daemon's user.
            load: has the service be given the credentials of these names.

        Raises:
            MachineError: what is not part of it can't be removed.
            OSError: it can't be written.
        """
        kept = self._places.former
        names = files.names(kept / _CREDENTIALS)
        credentials = {name: files.read(kept / _CREDENTIALS / name) for name in names}
        text, script = files.read(kept / _CONFIG), files.read(kept / _SCRIPT)
        self._put(text, credentials, script, owner, load)
        self.forget_former()

    def forget_former(self) -> None:
        """Remove what was kept, whole or not: it has secrets.

        Raises:
            MachineError: it can't be removed.
        """
        # At no moment it is there in part: what is put back must be whole.
        half = self._places.former.with_name("former.new")
        _must_discard(half)
        if self.has_former:
            self._places.former.rename(half)
            _must_discard(half)

    def _put(
        self,
        text: str,
        credentials: Mapping[str, str],
        script: str,
        owner: Owner,
        load: Callable[[Iterable[str]], object],
    ) -> None:
        at = self._places
        files.make_directory(at.credentials, 0o700)
        for name, secret in credentials.items():
            files.ensure(at.credentials / name, secret)
        if script:
            files.ensure(at.image_script, script, mode=_SCRIPT_MODE, owner=_readable_by(owner))
        # As long as either configuration may be read it is given the credentials of both.
        load(files.names(at.credentials))
        files.ensure(at.own_config, text)
        files.ensure(at.config, text, owner=owner)
        load(credentials)
        for name in files.names(at.credentials) - set(credentials):
            _must_discard(at.credentials / name)
        if not script:
            _must_discard(at.image_script)

    def digest(self) -> str:
        """Give a digest of what the daemon reads again by itself when it is told to."""
        return _digest([self._places.config, self._places.image_script])

    def credentials_digest(self) -> str:
        """Give a digest of what the service is given when it is started."""
        at = self._places.credentials
        return _digest([at / name for name in files.names(at)])

    def _holds_script(self, text: str, owner: Owner) -> bool:
        path, readers = self._places.image_script, _readable_by(owner)
        if not text:
            return not path.exists()
        return files.is_like(path, text, mode=_SCRIPT_MODE, owner=readers)

    def discard_candidate(self) -> None:
        """Remove a candidate of a hook that was killed: it has secrets that may be wrong by now."""
        for path in (self._candidate.config, self._candidate.credentials, self._script):
            files.discard(path)


def text_of(document: Mapping[str, Any]) -> str:
    """Write a configuration for people to read, too."""
    shown = yaml.safe_dump(
        dict(document), sort_keys=False, allow_unicode=True, width=_LINE, default_flow_style=False
    )
    return f"# Written by the charm, and written over when its options change.\n{shown}"


def _readable_by(owner: Owner) -> Owner:
    """Give whose a file is that the daemon only reads, by its group."""
    return Owner(files.ours().uid, owner.gid)


def _must_discard(path: Path) -> None:
    if fault := files.discard(path):
        raise MachineError(fault)


def _digest(paths: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(path.name.encode() + b"\0")
        found.update(hashlib.sha256(path.read_bytes() if path.exists() else b"").digest())
    return found.hexdigest()
