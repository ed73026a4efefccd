"""Images in the place of those that a known example of Compose names: each answers as its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Engine

WEB = "mkdir -p /www; echo version {version} >/www/index.html; exec httpd -f -p 80 -h /www"
BROKEN = "echo can not start; exit 1"
ROLES = {
    "busybox:1.36": "exec sleep 100000",
    "dockersamples/examplevotingapp_vote:latest": WEB.format(version=1),
    "dockersamples/examplevotingapp_vote:2": WEB.format(version=2),
    "dockersamples/examplevotingapp_vote:3": BROKEN,
    "dockersamples/examplevotingapp_result:latest": WEB.format(version=1),
    "dockersamples/examplevotingapp_worker:latest": "exec sleep 100000",
    "redis:alpine": "exec nc -ll -p 6379 -e cat",
    "postgres:15-alpine": "exec nc -ll -p 5432 -e cat",
}
"""What each image runs, by its name."""


def make_images(engine: Engine, archive: Path) -> None:
    """Make all of them on an engine, from an archive with busybox."""
    client = engine.client()
    for name, script in ROLES.items():
        repository, _, tag = name.partition(":")
        changes = [f'CMD ["sh","-c","{script}"]']
        client.api.import_image(str(archive), repository=repository, tag=tag, changes=changes)
    client.close()
