"""No key of a service is lost without a word: every leaf of the schema is changed in turn."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from orch.load.account import Writer
from orch.types import Fidelity, LedgerEntry, render_path
from orch_compose import ComposeReader
from tests.unit.compose.samples import Case, cases, shared_cases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.backend.contract import Reading

ROOT = Path(__file__).parents[3]
SCHEMAS = Path(os.environ.get("ORCH_SCHEMAS", ROOT.parent / "shared" / "schemas"))
SCHEMA = SCHEMAS / "compose/compose-spec.json"
HEALTH = {"healthcheck": {"test": ["CMD", "true"], "start_period": "30s"}}
# What a key means something with only.
COMPANIONS: dict[tuple[str, ...], dict[str, Any]] = {
    ("healthcheck",): HEALTH,
    ("memswap_limit",): {"mem_limit": "256m"},
    ("cpu_period",): {"cpu_quota": 10000},
    ("volumes", "bind"): {"volumes": [{"type": "bind", "source": "/x", "target": "/x"}]},
    ("volumes", "tmpfs"): {"volumes": [{"type": "tmpfs", "target": "/x"}]},
    ("volumes",): {"volumes": [{"type": "volume", "source": "data", "target": "/x"}]},
    ("ports",): {"ports": [{"target": 80, "published": "80"}]},
    ("configs",): {"configs": [{"source": "plain"}]},
    ("secrets",): {"secrets": [{"source": "plain"}]},
    ("build", "secrets"): {"build": {"secrets": [{"source": "plain"}]}},
    ("extends", "file"): {"extends": {"service": "db"}},
    ("devices",): {"devices": [{"source": "/dev/a"}]},
    ("deploy", "resources", "reservations", "generic_resources"): {
        "deploy": {
            "resources": {
                "reservations": {
                    "generic_resources": [{"discrete_resource_spec": {"kind": "a", "value": 1}}]
                }
            }
        }
    },
}
MOUNTS: dict[tuple[str, ...], str] = {
    ("volumes", "bind"): "bind",
    ("volumes", "tmpfs"): "tmpfs",
    ("volumes", "volume"): "volume",
    ("volumes", "read_only"): "volume",
    ("volumes", "source"): "volume",
    ("volumes", "target"): "volume",
    ("volumes", "consistency"): "volume",
}
# Values that are one with another, so that only the row of the ledger tells of the change.
SAME = {("env_file", "required")}
ACCOUNTED = (Fidelity.LOST, Fidelity.DEGRADED, Fidelity.REJECTED)


def all_cases() -> list[Case]:
    if not SCHEMA.exists():
        return []
    return list(cases(json.loads(SCHEMA.read_text())["definitions"]))


def shared() -> list[Case]:
    if not SCHEMA.exists():
        return []
    return list(shared_cases(json.loads(SCHEMA.read_text())["definitions"]))


def name_of(case: Case) -> str:
    return ".".join(str(part) for part in case.path)


def names(path: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(part for part in path if isinstance(part, str))


def laid_over(base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {k: laid_over(base[k], v) if k in base else v for k, v in over.items()}
    if isinstance(base, list) and isinstance(over, list) and base and over:
        return [laid_over(base[0], over[0])]
    return copy.deepcopy(over)


def service_of(case: Case, n: int) -> dict[str, Any]:
    own = {case.path[0]: case.make(n)}
    fitting = [key for key in COMPANIONS if names(case.path)[: len(key)] == key]
    companion = COMPANIONS[max(fitting, key=len)] if fitting else {}
    if (
        fitting
        and isinstance(own[case.path[0]], list)
        and not isinstance(own[case.path[0]][0], dict)
    ):
        companion = {}
    whole = laid_over(companion, {str(key): value for key, value in own.items()})
    if names(case.path)[:2] in MOUNTS:
        whole["volumes"][0]["type"] = MOUNTS[names(case.path)[:2]]
    return whole


def read(case: Case, n: int, folder: Path) -> Reading:
    other = {"image": "db:1", "volumes": ["data:/lent"]}
    service = service_of(case, n)
    document = {
        "name": "app",
        "services": {
            "web": {"image": "web:1"} | service,
            "db": other,
            "cache": {"image": "cache:1", "volumes": ["other:/lent"], "init": True},
        },
        "networks": {"front": {}, "back": {}},
        "volumes": {"data": {}, "other": {}},
        "configs": {"plain": {"content": "a"}, "other": {"content": "b"}},
        "secrets": {"plain": {"environment": "A"}, "other": {"environment": "B"}},
    }
    file = folder / "compose.yaml"
    file.write_text(yaml.safe_dump(document))
    return ComposeReader().read([file], {"HOME": "/home/u"}, ())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("compose")
    (made / "one.env").write_text("A=1\n")
    (made / "two.env").write_text("A=2\n")
    for number, name in enumerate(("one", "two")):
        text = f"services: {{db: {{user: 'u{number}'}}, cache: {{image: y}}}}"
        (made / f"{name}.yaml").write_text(text)
    return made


def rendered(value: Any, path: tuple[Any, ...] = ()) -> Iterator[str]:
    yield render_path(path)
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from rendered(item, (*path, key))


def rows_at(reading: Reading, case: Case) -> list[LedgerEntry]:
    path = ("services", "web", *case.path)
    return [row for row in reading.ledger if row.path[: len(path)] == path]


def assert_told(case: Case, folder: Path) -> None:
    first, second = (read(case, n, folder) for n in (0, 1))
    rows = rows_at(first, case)
    assert rows, f"{name_of(case)} has no row"
    written = set(rendered(first.document))
    for row in rows:
        if row.outcome in (Fidelity.NATIVE, Fidelity.EMULATED):
            assert set(row.outputs) <= written, row
        assert row.outputs or row.outcome is not Fidelity.NATIVE, row
        assert row.outcome is Fidelity.NATIVE or row.reason, row
    same = case.make(0) == case.make(1) or names(case.path) in SAME
    if first.document == second.document and not same:
        told = [row for row in (*rows, *rows_at(second, case)) if row.outcome in ACCOUNTED]
        assert told, f"{name_of(case)} changes nothing, and the ledger calls it {rows}"


@pytest.mark.parametrize("case", all_cases(), ids=name_of)
def test_a_change_moves_the_document_or_is_told(case: Case, folder: Path) -> None:
    assert_told(case, folder)


@pytest.mark.parametrize("case", shared(), ids=name_of)
def test_a_change_of_what_is_shared_moves_the_document_or_is_told(
    case: Case, tmp_path: Path
) -> None:
    section, key = str(case.path[0]), str(case.path[1])
    found = []
    for n in (0, 1):
        entry = {key: case.make(n)}
        if section in ("configs", "secrets") and key in ("name", "labels", "template_driver"):
            entry["file"] = "./it"
        if key == "driver_opts" and section == "secrets":
            entry["driver"] = "vault"
        file = tmp_path / "compose.yaml"
        web = {"web": {"image": "web:1"}}
        file.write_text(yaml.safe_dump({"name": "app", "services": web, section: {"it": entry}}))
        variables = {"alpha": "1", "beta": "2"}
        found.append(ComposeReader().read([file], variables, ()))
    path = (section, "it", *case.path[1:])
    rows = [row for reading in found for row in reading.ledger if row.path[: len(path)] == path]
    assert rows
    written = {path for reading in found for path in rendered(reading.document)}
    for row in rows:
        assert row.outcome is not Fidelity.NATIVE or set(row.outputs) <= written, row
    if found[0].document == found[1].document:
        assert any(row.outcome in ACCOUNTED for row in rows), rows


def test_the_specification_is_there() -> None:
    if not SCHEMA.exists():
        pytest.skip(f"the Compose specification is not at {SCHEMAS}; ORCH_SCHEMAS names its folder")
    keys = set(json.loads(SCHEMA.read_text())["definitions"]["service"]["properties"])
    assert {case.path[0] for case in all_cases()} == keys


@pytest.mark.parametrize("key", ["stop_signal", "cap_add", "deploy.replicas", "ports.target"])
def test_a_key_that_is_carried_but_not_written_is_caught(
    key: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = next((c for c in all_cases() if ".".join(names(c.path)) == key), None)
    if case is None:
        pytest.skip(f"the Compose specification is not at {SCHEMAS}; ORCH_SCHEMAS names its folder")
    put = Writer.put

    def forgetful(self: Writer, path: Any, item: Any, value: Any = None, **how: Any) -> None:
        if names(path)[2 : 2 + key.count(".") + 1] == tuple(key.split(".")):
            self.note(path, item)
        elif value is None:
            put(self, path, item, **how)
        else:
            put(self, path, item, value, **how)

    monkeypatch.setattr(Writer, "put", forgetful)
    with pytest.raises(AssertionError):
        assert_told(case, folder)
