"""The history of an instance, kept on the target itself: one record a deploy."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from orch.apply.records import delete_record, read_record, write_record
from orch.errors import UsageFault
from orch.plan.codec import decoded, encoded
from orch.types import InventoryItem, Release, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.backend.contract import Store

PREFIX = "release-"
KEPT = 10
_HEAD = re.compile(r"release-(\d{6})")


class History:
    """Releases of one instance, newest first, each read when it is first asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names = frozenset(store.names(PREFIX))
        heads = (_HEAD.fullmatch(name) for name in self._names)
        self.numbers = sorted((int(head[1]) for head in heads if head), reverse=True)
        self._read: dict[int, Release] = {}

    def __iter__(self) -> Iterator[Release]:
        return (self.release(number) for number in self.numbers)

    def release(self, number: int) -> Release:
        """One release. Raises KeyError when there is none of that number."""
        if number not in self._read:
            self._read[number] = self._load(number)
        return self._read[number]

    def _load(self, number: int) -> Release:
        release = decoded(Release, read_record(self._store, name_of(number)))
        if end_of(number) not in self._names:
            return release
        end = read_record(self._store, end_of(number))
        return replace(
            release,
            outcome=end["outcome"],
            message=end["message"],
            inventory=tuple(decoded(InventoryItem, item) for item in end["inventory"]),
        )

    @property
    def latest(self) -> Release | None:
        """The newest release, however it ended."""
        return self.release(self.numbers[0]) if self.numbers else None

    @cached_property
    def last_good(self) -> Release | None:
        """The newest release that ended well."""
        return next((release for release in self if is_good(release)), None)

    @cached_property
    def standing(self) -> Release | None:
        """The release whose document tells what is there: the newest one not taken back."""
        latest = self.latest
        if latest is not None and latest.outcome == Verdict.ROLLED_BACK:
            return self.last_good
        return latest

    @cached_property
    def baseline(self) -> Release | None:
        """What a plan rests on: the standing release under the newest number.

        Its inventory also holds all that cut-off and failed ones since the last good made.
        """
        if self.latest is None or self.standing is None:
            return self.latest
        owned: dict[str, InventoryItem] = {}
        for release in self:
            for item in release.inventory:
                known = owned.get(item.id)
                if known is None or not known.uid:
                    owned[item.id] = item
            if is_good(release):
                break
        return replace(self.standing, number=self.latest.number, inventory=tuple(owned.values()))

    def held(self) -> frozenset[str]:
        """Ids that any kept release names."""
        return frozenset(item.id for release in self for item in release.inventory)

    def secret_versions(self) -> dict[str, set[str]]:
        """The versions of each secret that any kept release names."""
        found: dict[str, set[str]] = {}
        for release in self:
            for name, version in release.versions.items():
                found.setdefault(name, set()).add(version)
        return found

    def scaled_by_hand(self) -> tuple[Release, ...]:
        """Releases that only changed a size, newest first, and that no later one took back."""
        found = []
        for release in self:
            verb = release.reason.partition(" ")[0]
            if release.outcome == Verdict.ROLLED_BACK or verb == "restart":
                continue
            if verb != "scale":
                break
            found.append(release)
        return tuple(found)


def is_good(release: Release) -> bool:
    """Whether a release ended with everything as wanted."""
    return release.outcome == Verdict.DONE


def is_finished(release: Release | None) -> bool:
    """Whether nothing is left to do or to check for it; also true when there is none.

    One that was rolled back left the last good one behind, seen healthy.
    """
    return release is None or release.outcome in (Verdict.DONE, Verdict.ROLLED_BACK)


def earlier_release(history: History, number: int | None) -> Release:
    """The release to return to: the named one, else the last good one that differs from now.

    Raises UsageFault when there is none.
    """
    if number is not None:
        return _named(history, number)
    standing = history.standing
    for release in history:
        if is_good(release) and release.document and _differs(release, standing):
            return release
    raise UsageFault("there is no earlier release to return to", mend="see `orch history`")


def _differs(release: Release, standing: Release | None) -> bool:
    """Whether going to a good release changes anything, as far as the standing one tells."""
    if standing is None or not is_good(standing):
        return True
    return release.number < standing.number and release.document != standing.document


def _named(history: History, number: int) -> Release:
    if number not in history.numbers:
        kept = ", ".join(str(n) for n in history.numbers) or "none"
        raise UsageFault(f"there is no release {number}", mend=f"these are kept: {kept}")
    release = history.release(number)
    if not release.document:
        raise UsageFault(
            f"release {number} took everything down; there is nothing to return to",
            mend="see `orch history`",
        )
    return release


def name_of(number: int) -> str:
    """The name of a release's record; names so padded sort by number."""
    return f"{PREFIX}{number:06}"


def end_of(number: int) -> str:
    """The name of the record that says how a release ended."""
    return f"{name_of(number)}-end"


def begin(store: Store, release: Release) -> None:
    """Write a release before its first step. Raises Conflict when its number is taken."""
    write_record(store, name_of(release.number), encoded(release))


def finish(
    store: Store, release: Release, outcome: str, message: str, inventory: tuple[InventoryItem, ...]
) -> None:
    """Write how a release ended, and what stands of it."""
    end = {
        "outcome": outcome,
        "message": message,
        "inventory": [encoded(item) for item in inventory],
    }
    write_record(store, end_of(release.number), end)


def forget_old(store: Store, kept: int = KEPT) -> None:
    """Remove all releases but the newest ones and the last good one."""
    history = History(store)
    old = history.numbers[kept:]
    if not old:
        return
    good = history.last_good.number if history.last_good else 0
    for number in old:
        if number != good:
            delete_record(store, name_of(number))


def forget_all(store: Store) -> None:
    """Remove every record of an instance that is gone."""
    for name in sorted(store.names(), key=len):
        store.delete(name)
