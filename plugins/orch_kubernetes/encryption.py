"""Which routes of a host are encrypted, and that all of them say the same certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.types import render_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.compile.builder import ManifestBuilder
    from orch.compile.view import Read, View

ONE_EACH = "whoever asks names a host before a path, so a host has one certificate; {} has another"


def by_host(routes: list[View]) -> dict[str, list[View]]:
    """Routes of each host, empty for every host."""
    found: dict[str, list[View]] = {}
    for route in routes:
        found.setdefault(route.value.host or "", []).append(route)
    return found


def encrypted_of(make: ManifestBuilder, routes: list[View]) -> list[View]:
    """Those of a host's routes that have TLS: the first one, and all that say the same.

    What says something else is rejected.
    """
    found = [route for route in routes if route.tls is not None]
    for route in found:
        if route.value.tls != found[0].value.tls:
            told = ONE_EACH.format(render_path(found[0].path))
            make.reject(route.tls, told, "give both the same tls, or different hosts")
    return [route for route in found if route.value.tls == found[0].value.tls]


def pair_of(encrypted: list[View]) -> Iterator[Read]:
    """The fields that name a certificate's secrets."""
    for route in encrypted:
        yield route.tls.cert.secret
        yield route.tls.field("key").secret
