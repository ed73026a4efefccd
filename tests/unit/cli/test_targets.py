"""Which target a command line means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orch.cli.choices import SpecChoice, TargetChoice
from orch.cli.connect import instance_of
from orch.cli.targets import choose, read_targets
from orch.errors import UsageFault

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config" / "orch"
    folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder / "targets.yaml"


def test_native_is_the_default(tmp_path: Path) -> None:
    target = choose(TargetChoice(), [tmp_path])
    assert (target.name, target.backend, target.namespace) == ("native", "native", "")


def test_beside_the_spec_hides_the_users_own(tmp_path: Path, own_config: Path) -> None:
    own_config.write_text("prod: {backend: nomad}\nlab: {backend: swarm}\n")
    (tmp_path / "targets.yaml").write_text(
        "prod: {backend: native, namespace: p, options: {socket: /s, port: 1}}\n"
    )
    targets = read_targets([tmp_path])
    assert targets["prod"].backend == "native"
    assert targets["prod"].options == {"socket": "/s", "port": "1"}
    assert targets["lab"].backend == "swarm"


def test_command_line_wins_over_the_target(tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text("prod: {backend: native, options: {a: x, b: y}}\n")
    choice = TargetChoice(target="prod", namespace="n", options=(("a", "z"),))
    target = choose(choice, [tmp_path])
    assert target.namespace == "n"
    assert target.options == {"a": "z", "b": "y"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[]", "not a mapping"),
        ("prod: 3", "names no backend"),
        ("prod: {backend: native, bakend: x}", "'bakend' is not a key"),
        ("prod: {backend: native, options: 3}", "`options` is not a mapping"),
        ("a: [", "is not YAML"),
    ],
)
def test_faults_of_the_file(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "targets.yaml").write_text(text)
    with pytest.raises(UsageFault, match=fault) as raised:
        choose(TargetChoice(target="prod"), [tmp_path])
    assert "targets.yaml" in str(raised.value)


def test_unknown_target_names_the_known(tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text("prod: {backend: native}\n")
    with pytest.raises(UsageFault, match="choose one of prod"):
        choose(TargetChoice(target="prd"), [tmp_path])


def test_contradicting_backend(tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text("prod: {backend: native}\n")
    with pytest.raises(UsageFault, match="has the backend 'native'"):
        choose(TargetChoice(target="prod", backend="nomad"), [tmp_path])


def test_an_environment_needs_a_place_of_its_own(tmp_path: Path) -> None:
    staging, bare = SpecChoice(environment="staging"), TargetChoice()
    target = choose(bare, [tmp_path])
    with pytest.raises(UsageFault, match="--namespace staging, or --name shop-staging"):
        instance_of(bare, target, staging, "shop")
    named = TargetChoice(name="shop-staging")
    assert instance_of(named, target, staging, "shop").name == "shop-staging"
    assert instance_of(bare, target, SpecChoice(), "shop").namespace == "default"


def test_a_flavour_names_its_backend(tmp_path: Path) -> None:
    target = choose(TargetChoice(options=(("flavour", "eks"),)), [tmp_path])
    assert (target.backend, target.options) == ("kubernetes", {"flavour": "eks"})
    target = choose(TargetChoice("native", options=(("flavour", "eks"),)), [tmp_path])
    assert target.backend == "native"


def test_a_flavour_that_nobody_has_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="there is no flavour 'ekss'") as told:
        choose(TargetChoice(options=(("flavour", "ekss"),)), [tmp_path])
    assert "k3s, eks, eks-fargate" in told.value.mend
