"""Sock shop from Compose and from manifests: one application but for what the sources say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch.backend.discovery import installed
from orch.load.source import Source, load
from tests.corpus.kompose import leaves
from tests.corpus.outcomes import CORPUS as COMPOSE
from tests.corpus.test_kompose import THERE, compared, differences

if TYPE_CHECKING:
    from orch.spec.application import Application

DEPLOY = "microservices-demo+microservices-demo/deploy"
FILE = COMPOSE / DEPLOY / "docker-compose/docker-compose.yml"
FOLDER = COMPOSE.parent / "kubernetes" / DEPLOY / "kubernetes/manifests"
PARITY = COMPOSE.parent / "parity_sockshop.json"
TABLE = Path(__file__).with_name("sock_shop.tsv")

pytestmark = THERE


def application(path: Path) -> Application:
    return load(Source((path,)), installed().readers).app


def found() -> list[str]:
    sides: list[dict[str, Any]] = [
        dict(leaves(application(path).model_dump(mode="json", by_alias=True, exclude_unset=True)))
        for path in (FILE, FOLDER)
    ]
    return list(compared(sides[0], sides[1]))


def test_images_are_those_of_the_manifests() -> None:
    expected = json.loads(PARITY.read_text())["k8s"]
    services = application(FOLDER).services
    assert {name: str(service.image) for name, service in services.items()} == expected


def test_only_named_differences() -> None:
    rows = differences(TABLE)
    assert [one for one in found() if not any(row.means("sock-shop", one) for row in rows)] == []


def test_every_named_difference_is_there() -> None:
    all_ = found()
    stale = [
        row for row in differences(TABLE) if not any(row.means("sock-shop", one) for one in all_)
    ]
    assert stale == []
