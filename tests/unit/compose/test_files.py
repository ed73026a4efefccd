"""Which files are read, from where, and under which name."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from orch.backend.discovery import installed
from orch.errors import InvalidSpec, UsageFault
from orch.load.files import MAX_BYTES
from orch.load.source import Source, load
from orch.types import Fidelity
from orch_compose import ComposeReader

ONE = "services: {web: {image: 'web:1'}}\n"


def read(folder: Path, text: str, **variables: str) -> Any:
    (folder / "compose.yaml").write_text(text)
    return ComposeReader().read([folder / "compose.yaml"], variables, ()).document


@pytest.mark.parametrize(
    ("name", "head", "sure"),
    [
        ("compose.yaml", "", True),
        ("docker-compose.prod.yml", "", True),
        ("Compose.dev.YAML", "", True),
        ("stack.yml", "version: '3.8'\nservices:\n", True),
        ("stack.yml", "services:\n  web:\n", True),
        ("stack.yml", "include:\n  - a\n", True),
        ("stack.yml", "apiVersion: orch/v1\nservices:\n", False),
        ("compose.yaml", "apiVersion: orch/v1\nname: x\n", False),
        ("pod.yaml", "apiVersion: v1\nkind: Pod\n", False),
        ("notes.yaml", "a: b\n", False),
    ],
)
def test_detect(name: str, head: str, sure: bool) -> None:
    assert (ComposeReader().detect(Path(name), head) > 20) is sure


def test_the_reader_comes_in_by_its_entry_point() -> None:
    assert isinstance(installed().readers["compose"], ComposeReader)


def test_the_name_is_the_folders(tmp_path: Path) -> None:
    folder = tmp_path / "My Shop.2"
    folder.mkdir()
    assert read(folder, ONE)["name"] == "myshop2"


def test_the_environments_name_wins(tmp_path: Path) -> None:
    assert read(tmp_path, "name: file\n" + ONE, COMPOSE_PROJECT_NAME="given")["name"] == "given"


def test_the_last_files_name_wins(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: first\n" + ONE)
    (tmp_path / "b.yaml").write_text("name: second-${X}\n")
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    assert ComposeReader().read(files, {"X": "1"}, ()).document["name"] == "second-1"


def test_override_files_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yaml").write_text("name: a\n" + ONE)
    (tmp_path / "compose.override.yaml").write_text("services: {web: {command: over}}\n")
    loaded = load(Source(), installed().readers)
    assert loaded.app.services["web"].command == ("over",)


def test_a_named_file_stands_alone(tmp_path: Path) -> None:
    (tmp_path / "compose.override.yaml").write_text("services: {web: {command: over}}\n")
    assert "command" not in read(tmp_path, ONE)["services"]["web"]


def test_several_documents_are_laid_over_each_other(tmp_path: Path) -> None:
    document = read(tmp_path, ONE + "---\nservices: {web: {command: over}}\n")
    assert document["services"]["web"] == {"image": "web:1", "command": ["over"]}


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    import orch.load.files

    orch.load.files._stdin.cache_clear()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ONE.encode())))
    assert ComposeReader().read([Path("-")], {}, ()).document["services"]
    orch.load.files._stdin.cache_clear()


def test_profiles_of_the_environment_choose(tmp_path: Path) -> None:
    text = "services: {a: {image: a, profiles: [x]}, b: {image: b, profiles: [y, z]}}\n"
    services = read(tmp_path, text, COMPOSE_PROFILES="x")["services"]
    assert "profiles" not in services["a"]
    assert services["b"]["profiles"] == ["y", "z"]


def test_a_file_that_an_inactive_service_names_may_be_absent(tmp_path: Path) -> None:
    text = "services: {a: {image: a, profiles: [x], env_file: none.env}}\n"
    assert read(tmp_path, text)["services"]["a"] == {"image": "a", "profiles": ["x"]}
    with pytest.raises(InvalidSpec, match=r"none\.env: there is no such file"):
        ComposeReader().read([tmp_path / "compose.yaml"], {}, ("x",))


def test_raw_env_files_are_taken_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "raw.env").write_text("# note\nA='$HOME'\nB=\"x\" # y\n")
    text = "services: {a: {image: a, env_file: [{path: raw.env, format: raw}]}}\n"
    environment = read(tmp_path, text, HOME="/x")["services"]["a"]["environment"]
    assert environment == {"A": "'$HOME'", "B": '"x" # y'}


def test_env_files_give_way_to_the_environment(tmp_path: Path) -> None:
    (tmp_path / "one.env").write_text("A=1\nB=1\nC=1\n")
    (tmp_path / "two.env").write_text("B=2\nC=2\n")
    text = "services: {a: {image: a, env_file: [one.env, two.env], environment: {C: 3}}}\n"
    environment = read(tmp_path, text)["services"]["a"]["environment"]
    assert environment == {"A": "1", "B": "2", "C": "3"}


def test_every_path_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "x.env").write_text("# first\nFROM=file\n")
    text = (
        "services:\n"
        "  web:\n"
        "    image: web:1\n"
        "    env_file: x.env\n"
        '    ports: ["8080:80"]\n'
        "    healthcheck: {test: 'true', interval: 5s}\n"
    )
    (tmp_path / "compose.yaml").write_text(text)
    reading = ComposeReader().read([tmp_path / "compose.yaml"], {}, ())
    places = {path: (Path(p.file).name, p.line, p.column) for path, p in reading.places.items()}
    web = ("services", "web")
    assert places[*web, "image"] == ("compose.yaml", 3, 12)
    assert places[*web, "ports", 0, "published"] == ("compose.yaml", 5, 13)
    assert places[*web, "environment", "FROM"] == ("x.env", 2, 1)
    assert places[*web, "probes", "liveness", "interval"] == ("compose.yaml", 6, 43)
    assert places[*web, "probes"] == ("compose.yaml", 6, 5)
    assert {Path(file).name for file in reading.files} == {"compose.yaml", "x.env"}


def test_a_fault_that_core_finds_points_into_the_compose_file(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "name: x\nservices:\n  web:\n    image: a\n    networks: [front]\n"
    )
    with pytest.raises(InvalidSpec) as fault:
        load(Source(files=(tmp_path / "compose.yaml",)), installed().readers)
    (diagnostic,) = fault.value.diagnostics
    assert (diagnostic.place.line, diagnostic.place.column) == (5, 16)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "this file is empty"),
        ("# only a note\n", "this file is empty"),
        ("- a\n", "is not a Compose file"),
        ("services: [a]\n", "a list can't stand here|is no mapping"),
        ("services:\n\tweb: {}\n", "cannot start any token|tab"),
        ("services: {web: {image: 'a}}\n", "unexpected end"),
        ("a: *nothing\n", "no anchor is called 'nothing'|undefined alias"),
        ("x-a: &a [*a]\n", "holds itself"),
        ("services: {a: &a {<<: *a}}\n", "holds itself"),
        ("services: {a: {<<: 5, image: a}}\n", "`<<` takes a mapping"),
        ("services: {a: {? [x] : y, image: a}}\n", "a key must be text"),
        ("[" * 5000, "nests deeper"),
        ("x-a: " + "{a: " * 5000, "nests deeper"),
    ],
)
def test_text_that_is_no_compose_file(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(InvalidSpec, match=fault) as raised:
        read(tmp_path, text)
    for diagnostic in raised.value.diagnostics:
        assert diagnostic.mend
        assert "compose.yaml" in str(diagnostic.place)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("form", ["[{0}, {0}, {0}, {0}, {0}, {0}, {0}]", "{{<<: [{0}, {0}, {0}]}}"])
def test_aliases_of_aliases_are_bounded(tmp_path: Path, form: str) -> None:
    lines = ["x-0: &x0 {a: b}"]
    lines += [f"x-{n}: &x{n} {form.format(f'*x{n - 1}')}" for n in range(1, 25)]
    with pytest.raises(InvalidSpec, match="aliases write out to more than"):
        read(tmp_path, "\n".join(lines) + "\n" + ONE)


def test_binary_and_huge_files(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_bytes(b"\x00\x01\xff" * 100)
    with pytest.raises(UsageFault, match=r"binary|UTF-8"):
        ComposeReader().read([file], {}, ())
    with file.open("wb") as big:
        big.truncate(MAX_BYTES + 1)
    with pytest.raises(UsageFault, match="MiB"):
        ComposeReader().read([file], {}, ())


def test_values_that_are_replaced_say_by_what(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("services: {web: {image: 'a:1', user: me}}\n")
    (tmp_path / "b.yaml").write_text("services: {web: {image: 'b:1'}}\n")
    ledger = ComposeReader().read([tmp_path / "a.yaml", tmp_path / "b.yaml"], {}, ()).ledger
    rows = [row for row in ledger if row.path[-1] == "image"]
    assert [row.outcome for row in rows] == [Fidelity.NATIVE] * 2
    assert rows[0].reason.startswith("overridden at ")
    assert rows[0].reason.endswith("b.yaml:1:25")
