"""One application under test: deploy it, look at it, and leave nothing behind."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from orch.apply.session import Session
from orch.backend.contract import (
    LogQuery,
    SupportsExec,
    SupportsLiveRead,
    SupportsLogs,
    SupportsWhy,
)
from orch.spec.application import Application
from orch.testing.workloads import PORT
from orch.types import Instance, Operation, Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from orch.apply.session import Planned
    from orch.backend.contract import Backend, Reading
    from orch.testing.workloads import Workload
    from orch.types import Event, LogLine, Outcome, Plan, ServiceStatus

F = TypeVar("F", bound="Callable[..., Any]")
Document = dict[str, Any]
PATIENCE = 90.0
QUICK = {"monitor": "300ms", "progress_deadline": "60s"}


def needs(*features: str) -> Callable[[F], F]:
    """A case for backends whose capabilities name all these features."""

    def mark(case: F) -> F:
        case.needs = features  # type: ignore[attr-defined]
        return case

    return mark


@dataclass
class Values:
    """A secret provider that holds its values itself."""

    name: str = "env"
    values: dict[str, str | bytes] = field(default_factory=dict)

    def read(self, name: str, source: Mapping[str, Any], base: Path) -> str | bytes:  # noqa: ARG002
        """The value now."""
        return self.values[name]

    def version(
        self,
        name: str,  # noqa: ARG002
        source: Mapping[str, Any],  # noqa: ARG002
        base: Path,  # noqa: ARG002
    ) -> str | None:
        """It has no versions of its own."""
        return None


class Trial:
    """One instance, and what was told while it was worked on."""

    def __init__(self, backend: Backend, workload: Workload, namespace: str, name: str) -> None:
        self.backend, self.workload = backend, workload
        self.instance = Instance(backend.name, namespace, name)
        self.secrets = Values()
        self.events: list[Event] = []

    def session(self, who: str = "conformance") -> Session:
        """A new session, as another run of the command line would have."""
        return Session(self.backend, self.instance, providers={"env": self.secrets}, who=who)

    def app(self, document: Document) -> Application:
        """The application of a document; its name is the trial's own."""
        return Application.model_validate({"name": self.instance.name, **document})

    def web(self, text: str = "one", *, ready: bool = True, **deploy: Any) -> Document:
        """An application of one web server; `deploy` goes to its deploy section."""
        return {"services": {"web": self.web_service(text, ready=ready, **deploy)}}

    def web_service(self, text: str = "one", *, ready: bool = True, **deploy: Any) -> Document:
        """A web server that is updated quickly."""
        update = {**QUICK, **deploy.pop("update_config", {})}
        made: Document = self.workload.web(text, ready=ready)
        return {**made, "deploy": {"update_config": update, **deploy}}

    def shell(self, script: str, **fields: Any) -> Document:
        """A job or service that runs a script."""
        return {**self.workload.shell(script), **fields}

    # -- acting ------------------------------------------------------------------------------

    def plan(self, document: Document, **wishes: Any) -> Planned:
        """A plan for the document."""
        return self.session().plan(self.app(document), **wishes)

    def run(self, plan: Plan, **wishes: Any) -> Outcome:
        """Carry out a plan, and keep what it tells."""
        self.events = []
        return self.session().apply(
            plan, on_event=self.events.append, **{"timeout": PATIENCE, **wishes}
        )

    def deploy(self, document: Document, **wishes: Any) -> Outcome:
        """Plan and carry out."""
        return self.run(self.plan(document).plan, **wishes)

    def deployed(self, document: Document) -> Outcome:
        """Deploy something that must succeed."""
        outcome = self.deploy(document)
        assert outcome.verdict is Verdict.DONE, f"{outcome}\n{self.told()}"
        return outcome

    def down(self, *, volumes: bool = True) -> Outcome:
        """Remove everything."""
        session = self.session()
        return session.apply(session.down_plan(volumes=volumes), timeout=PATIENCE)

    # -- looking -----------------------------------------------------------------------------

    def told(self) -> str:
        """What the last deploy said, for a failure's message."""
        return "\n".join(f"{e.kind} {e.id} {e.message} {dict(e.data)}" for e in self.events)

    def status(self) -> Status:
        """As it is now."""
        return self.backend.status(self.instance)

    def service(self, name: str = "web") -> ServiceStatus:
        """One service's status. Fails the test when there is none."""
        found = [service for service in self.status().services if service.name == name]
        assert found, f"{name} is not among {[s.name for s in self.status().services]}"
        return found[0]

    def eventually(self, what: str, holds: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """Look again until something holds."""
        end = time.monotonic() + patience
        while not (seen := holds()):
            if time.monotonic() > end:
                pytest.fail(f"{what}: not within {patience:g} s; {self.status()}")
            time.sleep(0.1)
        return seen

    def exec(self, script: str, service: str = "web") -> int:
        """The exit code of a script of the shell in a replica of a service."""
        assert isinstance(self.backend, SupportsExec)
        return self.backend.exec(self.instance, service, "", ["sh", "-c", script], tty=False)

    def logs(self, **query: Any) -> Iterator[LogLine]:
        """Lines of its replicas; `query` as for a LogQuery."""
        assert isinstance(self.backend, SupportsLogs)
        return self.backend.logs(self.instance, LogQuery(**query))

    def why(self, replica: str = "web") -> Sequence[str]:
        """Why a service or a replica is where and as it is."""
        assert isinstance(self.backend, SupportsWhy)
        return self.backend.why(self.instance, replica)

    def read_live(self, selector: str, namespace: str = "") -> Reading:
        """A spec of what runs."""
        assert isinstance(self.backend, SupportsLiveRead)
        return self.backend.read_live(selector, namespace)

    def pending(self, document: Document) -> list[tuple[Operation, str]]:
        """What a plan for the document would do."""
        return [(action.operation, action.id) for action in self.plan(document).plan.pending]


class Cases:
    """Fixtures that all cases share; a backend's test class fills in the first two."""

    namespace = "conformance"

    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        """The backend under test, closed afterwards."""
        raise NotImplementedError

    @pytest.fixture
    def workload(self) -> Workload:
        """What can be run there."""
        raise NotImplementedError

    @pytest.fixture
    def unreachable(self) -> Backend:
        """The same kind of backend, with nothing that answers."""
        pytest.skip("this backend's test class names no unreachable target")

    @pytest.fixture(autouse=True)
    def _only_what_is_promised(self, request: pytest.FixtureRequest, backend: Backend) -> None:
        wanted = set(getattr(request.function, "needs", ()))
        missing = sorted(wanted - backend.capabilities().features)
        if missing:
            request.node.user_properties.append(("not promised", missing))
            pytest.skip(f"{backend.name} does not promise {', '.join(missing)}")

    @pytest.fixture
    def trial(self, backend: Backend, workload: Workload) -> Iterator[Trial]:
        """An instance of its own, removed afterwards with all its data."""
        made = Trial(backend, workload, self.namespace, f"t{uuid.uuid4().hex[:8]}")
        yield made
        made.session().unlock()
        made.down()

    def url(self, port: int) -> str:
        """Where a published port answers."""
        return f"http://127.0.0.1:{port}"

    def fetch(self, port: int, path: str = "/") -> str:
        """What a published port answers; raises OSError when it does not."""
        from urllib.request import urlopen

        with urlopen(self.url(port) + path, timeout=5) as answer:  # noqa: S310
            text: str = answer.read().decode()
            return text.strip()

    def free_port(self) -> int:
        """A port that nobody listens on, away from those that the kernel gives out."""
        from socket import SO_REUSEADDR, SOL_SOCKET, socket

        for port in range(21000 + os.getpid() % 5000, 32000):
            with socket() as probe:
                probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
                try:
                    probe.bind(("0.0.0.0", port))  # noqa: S104
                except OSError:
                    continue
                return port
        raise OSError("no port is free")

    def published(self, document: Document, port: int) -> Document:
        """The document with the port of `web` open to the outside."""
        web = document["services"]["web"]
        ports = [{"name": "http", "target": PORT, "published": port}]
        return {**document, "services": {**document["services"], "web": {**web, "ports": ports}}}
