"""Loading as a whole: where things come from, and what wins."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orch.backend.contract import Reading
from orch.errors import InvalidSpec, UsageFault
from orch.load import files
from orch.load.defaults import default_files
from orch.load.source import Source, document_of, load
from orch.types import Ledger, Place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WEB = "name: shop\nservices:\n  web:\n    image: nginx:$TAG\n"


class Pairs:
    """A reader of lines `service image`."""

    name = "pairs"

    def __init__(self, score: int = 80) -> None:
        self.score = score

    def detect(self, path: Path, head: str) -> int:
        return self.score if path.suffix == ".pairs" else 0

    def read(
        self, paths: Sequence[Path], variables: Mapping[str, str], profiles: Sequence[str]
    ) -> Reading:
        document: dict[str, Any] = {"name": "shop", "services": {}}
        places = {}
        for path in paths:
            for number, line in enumerate(path.read_text().splitlines(), 1):
                name, image = line.split()
                document["services"][name] = {"image": image, "labels": {"price": "5$"}}
                places["services", name] = Place(str(path), number, 1)
        return Reading(document, Ledger(()), places)


def test_precedence_of_variables(tmp_path: Path) -> None:
    spec = tmp_path / "orch.yaml"
    spec.write_text(WEB)
    (tmp_path / ".env").write_text("TAG=file\n")
    image = lambda **given: str(load(Source((spec,), **given), {}).app.services["web"].image)  # noqa: E731
    assert image() == "nginx:file"
    assert image(variables={"TAG": "process"}) == "nginx:process"
    assert image(variables={"TAG": "process"}, settings={"TAG": "set"}) == "nginx:set"


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files._stdin.cache_clear()
    monkeypatch.chdir(tmp_path)
    raw = io.BytesIO(b"name: shop\nservices: {web: {imag: nginx}}\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(raw))
    with pytest.raises(InvalidSpec, match=r"services\.web\.imag \(<stdin>:2:18\)"):
        load(Source((Path("-"),)), {})
    files._stdin.cache_clear()


def test_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    spec = tmp_path / "orch.yaml"
    with spec.open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(UsageFault, match="more than 32 MiB"):
        load(Source((spec,)), {})


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageFault, match="can't be read: Not a directory"):
        load(Source((Path("/dev/null/orch.yaml"),)), {})


def test_default_file(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="name a file with --file"):
        default_files(tmp_path)
    compose, override = tmp_path / "compose.yaml", tmp_path / "docker-compose.override.yml"
    compose.touch()
    assert default_files(tmp_path) == (compose,)
    override.touch()
    assert default_files(tmp_path) == (compose, override)
    (tmp_path / "orch.json").touch()
    assert default_files(tmp_path) == (tmp_path / "orch.json",)


def test_formats(tmp_path: Path) -> None:
    spec = tmp_path / "app.pairs"
    spec.write_text("web nginx\n")
    assert "web" in load(Source((spec,)), {"pairs": Pairs()}).app.services
    with pytest.raises(UsageFault, match="may be one or two; say which with --format"):
        load(Source((spec,)), {"one": Pairs(), "two": Pairs()})
    with pytest.raises(UsageFault, match="did you mean pairs"):
        load(Source((spec,), format="pair"), {"pairs": Pairs()})


def test_ours_is_laid_over_another_format(tmp_path: Path) -> None:
    base, over = tmp_path / "app.pairs", tmp_path / "orch.yaml"
    base.write_text("web nginx\ndb postgres\n")
    over.write_text('services:\n  db: {deploy: {replicas: "${N}"}}\nenvironments: {e: {}}\n')
    loaded = load(Source((base, over), settings={"N": "2"}), {"pairs": Pairs()})
    assert loaded.app.services["db"].deploy.replicas == 2
    assert loaded.app.services["web"].labels["price"] == "5$"
    assert loaded.locate(("services", "db", "image")) == Place(str(base), 2, 1)
    assert loaded.locate(("services", "db", "deploy", "replicas")) == Place(str(over), 2, 17)
    assert loaded.environments == ("e",)


def test_a_config_is_read_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "orch.yaml").write_text("name: a\nconfigs: {one: {file: x.txt}}\n")
    (tmp_path / "more/over.yaml").write_text("configs: {two: {file: x.txt}}\n")
    (tmp_path / "x.txt").write_text("outer")
    (tmp_path / "more/x.txt").write_text("inner")
    app = load(Source((tmp_path / "orch.yaml", tmp_path / "more/over.yaml")), {}).app
    assert {name: config.content for name, config in app.configs.items()} == {
        "one": "outer",
        "two": "inner",
    }
    assert all(config.model_fields_set == {"file"} for config in app.configs.values())


def test_host_paths_become_absolute(tmp_path: Path) -> None:
    spec = tmp_path / "orch.yaml"
    spec.write_text(
        "name: a\nservices:\n  web:\n    image: x\n"
        "    volumes: [{type: bind, source: ./data, target: /data}]\n"
    )
    app = load(Source((spec,)), {}).app
    assert app.services["web"].volumes[0].source == str(tmp_path / "data")
    assert "volumes" in document_of(app)["services"]["web"]


def test_every_fault_has_its_place_over_three_layers(tmp_path: Path) -> None:
    base, over = tmp_path / "orch.yaml", tmp_path / "over.yaml"
    base.write_text("name: a\nservices:\n  web: {image: x, ports: [{target: 80, a: 1}]}\n")
    over.write_text(
        "services:\n  web:\n    ports:\n      - {target: 81, b: 2}\n"
        "environments:\n  e:\n    services:\n      web:\n        ports: [{target: 81, c: 3}]\n"
    )
    with pytest.raises(InvalidSpec) as caught:
        load(Source((base, over), environment="e"), {})
    assert [
        (d.path[-1], d.place.line, Path(d.place.file).name) for d in caught.value.diagnostics
    ] == [
        ("a", 3, "orch.yaml"),
        ("b", 4, "over.yaml"),
        ("c", 9, "over.yaml"),
    ]
