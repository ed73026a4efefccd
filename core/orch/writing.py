"""Files that a person asked for: there whole or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from orch.errors import UsageFault, innermost

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write_whole(path: Path, parts: Iterable[str], *, mode: int = 0o666, over: bool = True) -> None:
    """Write the parts of a text as one file, in one step.

    Behind a link the file is written that it names. A new file has `mode` less the umask; what is
    written over keeps what both modes allow. A pipe or a device is written into. Raises UsageFault
    when it can't be written, or when it is there and `over` is not set; what was there stays as
    it was.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8") as stream:
                stream.writelines(parts)
            return
        target = path.resolve()
        if not over:
            _fill(target, parts, mode, os.O_EXCL)
            return
        with suppress(FileNotFoundError):
            mode &= stat.S_IMODE(target.stat().st_mode)
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        _fill(draft, parts, mode, os.O_TRUNC)
        try:
            draft.replace(target)
        except OSError:
            draft.unlink()
            raise
    except FileExistsError:
        mend = "choose another name, or add --force"
        raise UsageFault("is there already", place=str(path), mend=mend) from None
    except (OSError, RuntimeError) as fault:  # links that lead in a circle are a RuntimeError
        raise UsageFault(
            f"can't be written: {innermost(fault)}",
            place=str(path),
            mend="choose another path, or make room there",
        ) from fault


def _fill(path: Path, parts: Iterable[str], mode: int, how: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | how, mode)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(parts)
    except BaseException:
        path.unlink()
        raise
