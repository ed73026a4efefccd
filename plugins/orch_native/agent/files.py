"""Configs and secrets as files of the node; secrets lie in memory, for their owner alone."""

from __future__ import annotations

import os
import posixpath
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orch_native.agent.driver import StartFault
from orch_native.agent.pod import SECRETS_FOLDER

if TYPE_CHECKING:
    from orch_native.agent.pod import MountedFile, Piece, Pod

MEMORY = Path("/dev/shm")  # noqa: S108  (a folder of the agent's own, mode 0700, is made in it)


@dataclass(frozen=True, slots=True)
class Placed:
    """A file on the node, and where the container shall see it."""

    path: Path
    target: str
    kind: str


class Files:
    """Folders for a node's files: `open` for configs, `closed` for secrets."""

    def __init__(self, state: Path, agent: str) -> None:
        self._open = state / "files"
        memory = MEMORY / f"orch-{agent}"
        self._closed = memory if _in_memory() else state / "secrets"

    def _make(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if root.stat().st_uid != os.geteuid() or root.is_symlink():
            raise StartFault(f"{root} belongs to somebody else; remove it")
        root.chmod(0o700)

    def folder(self, handle: str, kind: str) -> Path:
        """Where the files of a container lie."""
        return (self._closed if kind == "secrets" else self._open) / handle / kind

    def place(self, pod: Pod, piece: Piece) -> list[Placed]:
        """Write what is not there yet. Raises StartFault for a config or secret without content."""
        try:
            files = list(pod.files(piece))
        except KeyError as missing:
            raise StartFault(f"{missing.args[0]} has no content on this node") from missing
        return [self._put(piece.handle, file) for file in files]

    def _put(self, handle: str, file: MountedFile) -> Placed:
        # Where nothing can be mounted, a task finds the file by its bare name in this folder.
        inner = posixpath.normpath(file.target).removeprefix(f"{SECRETS_FOLDER}/").lstrip("/")
        path = self.folder(handle, file.kind) / inner
        self._make(self._closed if file.kind == "secrets" else self._open)
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != file.content:
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(file.content)
        if os.geteuid() == 0:
            os.chown(path, file.uid or 0, file.gid or 0)
        path.chmod(file.mode)
        return Placed(path, file.target, file.kind)

    def remove(self, handle: str) -> None:
        """Remove the files of a container."""
        for root in (self._open, self._closed):
            shutil.rmtree(root / handle, ignore_errors=True)
            with suppress(OSError):
                root.rmdir()  # it goes with its last file


def _in_memory() -> bool:
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    kinds = {line.split()[1]: line.split()[2] for line in mounts}
    return kinds.get(str(MEMORY)) == "tmpfs" and os.access(MEMORY, os.W_OK)
