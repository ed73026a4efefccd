from __future__ import annotations

from typing import Any

import pytest

from orch.apply.session import Session
from orch.load.source import app_from_document
from orch.testing.platform import Platform, Script
from orch.testing.scripted import ScriptedBackend
from orch.types import Instance

INSTANCE = Instance("scripted", "default", "shop")


class Vault:
    """A secret provider whose values and versions a test sets."""

    name = "vault"

    def __init__(self) -> None:
        self.values: dict[str, str | bytes] = {}
        self.versions: dict[str, str] = {}

    def read(self, name: str, source: Any, base: Any) -> str | bytes:
        return self.values[source["key"]]

    def version(self, name: str, source: Any, base: Any) -> str | None:
        return self.versions.get(source["key"])


class Shop:
    """A platform, and sessions on it: each of them a client, or a process, of its own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.platform = Platform(clock=lambda: self.now, limit=900)
        self.vault = Vault()
        self.events: list[Any] = []
        self.script = Script()

    def session(self, script: Script | None = None, **options: Any) -> Session:
        self.script = script or Script()
        backend = ScriptedBackend(self.platform, self.script)
        options = {"providers": {"vault": self.vault}, "who": "ada@here"} | options
        return Session(
            backend,
            options.pop("instance", INSTANCE),
            clock=lambda: self.now,
            sleep=lambda _seconds: None,
            **options,
        )

    def deploy(self, document: dict[str, Any], script: Script | None = None, **options: Any) -> Any:
        session = self.session(script)
        planned = session.plan(app_from_document(document))
        return session.apply(planned.plan, on_event=self.events.append, **options)

    def plan(self, document: dict[str, Any], **options: Any) -> Any:
        return self.session().plan(app_from_document(document), **options).plan

    @staticmethod
    def document(**parts: Any) -> dict[str, Any]:
        return {"apiVersion": "orch/v1", "name": "shop", **parts}

    @staticmethod
    def service(tag: str = "1", **fields: Any) -> dict[str, Any]:
        return {"image": f"example.com/web:{tag}", **fields}

    def only_web(self, tag: str = "1", **fields: Any) -> dict[str, Any]:
        return self.document(services={"web": self.service(tag, **fields)})

    @property
    def bodies(self) -> dict[str, Any]:
        return self.platform.bodies(INSTANCE)


@pytest.fixture
def shop() -> Shop:
    return Shop()
