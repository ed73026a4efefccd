"""Every field of the model, on both drivers: it arrives, or the ledger says that it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.testing.mutation import FidelityMutation, prove
from orch.testing.variations import IMAGE, application_pairs
from orch.types import render_path
from orch_native.backend import NativeBackend

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest


class TestNativeFidelity(FidelityMutation):
    overrides: Mapping[str, Any] = {"native": {"drain": ("1s", "2s")}}

    def make_backend(self) -> NativeBackend:
        return NativeBackend({})


def test_a_field_that_the_compiler_drops_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from orch.compile.builder import ResourceBuilder

    whole = ResourceBuilder.put_all

    def forgetful(self: ResourceBuilder, node: Any) -> None:
        whole(self, node)
        self.leave_out(("stop_signal",))

    monkeypatch.setattr(ResourceBuilder, "put_all", forgetful)
    pairs = [p for p in application_pairs(IMAGE) if p.path[-1] == "stop_signal"]
    found = prove(NativeBackend({}), pairs).faults
    assert any("services.alpha.stop_signal: the row names" in fault for fault in found), found


def test_every_leaf_of_the_model_is_varied() -> None:
    varied = {render_path(pair.path) for pair in application_pairs(IMAGE)}
    for path in (
        "services.alpha.probes.startup.http.path",
        "services.alpha.deploy.update_config.max_failure_ratio",
        "jobs.gamma.sidecars.side.probes.liveness.grpc.service",
        "routes[0].tls.acme",
        "policies[0].from[0].port",
        'registries["registry.example.com"].password.secret',
    ):
        assert path in varied
