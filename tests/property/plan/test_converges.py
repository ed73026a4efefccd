"""Whatever goes wrong on the way, deploying again leads to what is wanted."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orch.apply.releases import History
from orch.apply.session import Session
from orch.errors import Denied, OrchError, Transient, Unreachable
from orch.load.source import app_from_document
from orch.plan.codec import encoded
from orch.testing.platform import Killed, Platform, Script
from orch.testing.scripted import ScriptedBackend
from orch.types import Instance, Plan, Verdict

INSTANCE = Instance("scripted", "default", "shop")
NAMES = ["a", "b", "c", "d"]
CANARY = "c4nary-Value/+=&"
TAGS = st.sampled_from(["1", "2"])
CONDITIONS = st.sampled_from(["service_started", "service_healthy"])


class Vault:
    name = "vault"

    def __init__(self) -> None:
        self.value = f"{CANARY}0"

    def read(self, name: str, source: Any, base: Any) -> str:
        return self.value

    def version(self, name: str, source: Any, base: Any) -> str | None:
        return None


@st.composite
def documents(draw: Any) -> dict[str, Any]:
    """Applications of up to four services, whose dependencies only go backwards."""
    services: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1)):
        before = draw(st.lists(st.sampled_from(sorted(services)), unique=True)) if services else []
        services[name] = {
            "image": f"web:{draw(TAGS)}",
            "depends_on": {other: {"condition": draw(CONDITIONS)} for other in before},
            "configs": [{"source": "c", "target": "/c"}] if draw(st.booleans()) else [],
            "secrets": [{"source": "s", "target": "s"}] if draw(st.booleans()) else [],
        }
    return {
        "name": "shop",
        "services": services,
        "configs": {"c": {"content": draw(TAGS)}},
        "secrets": {"s": {"provider": "vault", "key": "k"}},
        "volumes": {"v": {}} if draw(st.booleans()) else {},
    }


class World:
    """A platform, and one client after the other."""

    def __init__(self) -> None:
        self.now = 0.0
        self.platform = Platform(clock=lambda: self.now, limit=900)
        self.vault = Vault()
        self.plans: list[Plan] = []
        self.told: list[str] = []

    def deploy(self, document: dict[str, Any], script: Script | None = None) -> Any:
        self.now += 1000  # whatever lock a killed client left behind is over
        session = Session(
            ScriptedBackend(self.platform, script),
            INSTANCE,
            providers={"vault": self.vault},
            who="x",
            clock=lambda: self.now,
            sleep=lambda _seconds: None,
        )
        plan = session.plan(app_from_document(document)).plan
        self.plans.append(plan)
        outcome = session.apply(plan, on_event=lambda event: self.told.append(repr(event)))
        self.told.append(repr(outcome))
        return outcome

    def try_to_deploy(self, document: dict[str, Any], script: Script) -> None:
        with suppress(OrchError, Killed):
            self.deploy(document, script)

    def settles_on(self, document: dict[str, Any]) -> None:
        outcome = self.deploy(document)
        assert outcome.verdict in (Verdict.DONE, Verdict.UNCHANGED), outcome
        again = self.deploy(document)
        assert again.verdict is Verdict.UNCHANGED, self.plans[-1].pending
        services = {id_ for id_ in self.platform.bodies(INSTANCE) if id_.startswith("service/")}
        assert services == {f"service/{name}" for name in document["services"]}

    def reveals_nothing(self) -> None:
        with self.platform.state() as state:
            records = [bytes.fromhex(data) for data in state.records(str(INSTANCE)).values()]
            seen = json.dumps(state.tree["objects"]) + repr(state.tree["locks"])
        history = History(ScriptedBackend(self.platform).store(INSTANCE))
        seen += json.dumps([encoded(release) for release in history])
        seen += json.dumps([encoded(plan) for plan in self.plans]) + "".join(self.told)
        assert CANARY not in seen
        assert not any(CANARY.encode() in record for record in records)


STEADY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FAULTS = st.lists(
    st.tuples(
        st.sampled_from(["apply", "rollout", "observe", "store.create", "store.names"]),
        st.sampled_from([Transient("429"), Unreachable("gone"), Denied("no"), "leak"]),
        st.integers(1, 6),
        st.integers(1, 8),
        st.booleans(),
    ),
    max_size=3,
)


@STEADY
@given(documents(), documents())
def test_a_plan_after_an_apply_is_empty(first: Any, second: Any) -> None:
    world = World()
    world.settles_on(first)
    world.settles_on(second)
    world.reveals_nothing()


@STEADY
@given(documents(), documents(), st.lists(st.integers(1, 90), min_size=1, max_size=4))
def test_a_client_killed_anywhere_leaves_something_to_go_on_from(
    first: Any, second: Any, points: list[int]
) -> None:
    world = World()
    world.settles_on(first)
    for point in points:
        script = Script()
        script.kill(at=point)
        world.try_to_deploy(second, script)
    world.settles_on(second)
    world.reveals_nothing()


@STEADY
@given(documents(), documents(), FAULTS, st.booleans())
def test_faults_on_the_way_are_survived(
    first: Any, second: Any, faults: Any, rotated: bool
) -> None:
    world = World()
    world.try_to_deploy(first, scripted(faults, world))
    world.vault.value += "1" if rotated else ""
    world.try_to_deploy(second, scripted(faults, world))
    world.settles_on(second)
    world.reveals_nothing()


def scripted(faults: Any, world: World) -> Script:
    script = Script()
    for method, kind, on, times, after in faults:
        fault = ValueError(f"said: {world.vault.value}") if kind == "leak" else kind
        script.fail(method, fault, on=on, times=times, after=after)
    return script
