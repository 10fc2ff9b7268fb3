"""Files that are put into instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.gateways.lxd._connection import Connection

if TYPE_CHECKING:
    from typing import BinaryIO


class Files(Connection):
    """The calls about an instance's files; they block, any thread may make them.

    For instances that run nobody else's code: where a guest has put a named pipe in a file's place,
    LXD 5.0 waits for its other end.
    """

    def push_directory(self, name: str, path: str, *, mode: int, limit_s: float) -> None:
        """Make a directory of root's, unless it is there.

        Raises:
            NotFound: There is no such instance, or no directory above.
            LxdError: It can't be made.
        """
        self._push(name, path, b"", "directory", mode, limit_s)

    def push_file(
        self, name: str, path: str, content: bytes | BinaryIO, *, mode: int, limit_s: float
    ) -> None:
        """Write a file of root's, in place of one that is there.

        Args:
            name: the instance's.
            path: in the instance, absolute.
            content: what it holds; an open file is read to its end.
            mode: such as 0o600.
            limit_s: for all of it.

        Raises:
            NotFound: There is no such instance, or no directory for it.
            LxdError: It can't be written.
        """
        self._push(name, path, content, "file", mode, limit_s)

    def _push(
        self, name: str, path: str, content: bytes | BinaryIO, kind: str, mode: int, limit_s: float
    ) -> None:
        aim = f"put {path} into instance {name}"
        headers = {
            "Content-Type": "application/octet-stream",
            "X-LXD-type": kind,
            "X-LXD-mode": f"{mode:04o}",
            "X-LXD-uid": "0",
            "X-LXD-gid": "0",
        }
        self._call(
            aim,
            "post",
            "instances",
            name,
            "files",
            params={"path": path},
            data=content,
            headers=headers,
            timeout=limit_s,
        )
