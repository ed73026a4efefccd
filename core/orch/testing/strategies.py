"""Applications at random, for Hypothesis: derived from the model, so that new fields take part."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from orch.spec import application, container, deploy, probe
from orch.spec.application import Application
from orch.spec.shape import Shape, shape_of_field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    Document = dict[str, Any]
    Strategy = st.SearchStrategy[Any]

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,6}([._-][a-z0-9]{1,3})?", fullmatch=True)
TEXTS = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="$"), min_size=1, max_size=12
)
_SCALARS = st.one_of(TEXTS, st.integers(-9, 9999), st.booleans())
_BY_WORDS: Mapping[str, Strategy] = {
    "a duration": st.sampled_from((0, 5, "0", "250ms", "30s", "1m30s", "2h", "1.5s")),
    "a size": st.sampled_from((0, 4096, "64M", "256Mi", "1G", "1.5k", "10Gi")),
    "a number of cpus": st.sampled_from((1, 0.5, "0.25", "250m", "12", "1234.567")),
    "an image": st.sampled_from(
        ("nginx", "ghcr.io/acme/web:1.4", "localhost:5000/a/b", f"a/b@sha256:{'0' * 64}")
    ),
    "a path that begins with /": NAMES.map(lambda name: f"/{name}"),
    "a file mode of octal digits in quotes": st.sampled_from(("0444", "640", "0755")),
    "any of the letters r, w and m": st.sampled_from(("r", "rw", "rwm")),
}


def documents() -> st.SearchStrategy[dict[str, Any]]:
    """Documents in canonical form that the model accepts; what they refer to may be missing."""
    return _model(Application)


def applications() -> st.SearchStrategy[Application]:
    """Applications that the model accepts; what they refer to may be missing."""
    return documents().map(Application.model_validate)


@cache
def _model(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {
        field.alias or name: (st.deferred(_later(shape_of_field(field))), field.is_required())
        for name, field in model.model_fields.items()
    }
    needed = {name: value for name, (value, required) in fields.items() if required}
    free = {name: value for name, (value, required) in fields.items() if not required}
    whole = _some(free).flatmap(
        lambda chosen: st.fixed_dictionaries({**needed, **{name: free[name] for name in chosen}})
    )
    fit = _FITS.get(model)
    return whole if fit is None else st.tuples(whole, st.randoms()).map(lambda pair: fit(*pair))


def _some(fields: Mapping[str, Strategy]) -> st.SearchStrategy[list[str]]:
    return (
        st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True)
        if fields
        else st.just([])
    )


def _later(shape: Shape) -> Callable[[], Strategy]:
    return lambda: _shape(shape)


def _shape(shape: Shape) -> Strategy:
    if shape.members:
        return st.one_of(*map(_shape, shape.members))
    if shape.model is not None:
        return _model(shape.model)
    if shape.anything:
        return st.one_of(_SCALARS, st.lists(_SCALARS, max_size=2))
    if shape.item is not None:
        item = st.deferred(_later(shape.item))
        if shape.key is None:
            return st.lists(item, min_size=1, max_size=2)
        return st.dictionaries(NAMES, item, max_size=2)
    return _leaf(shape)


def _leaf(shape: Shape) -> Strategy:
    if shape.choices:
        return st.sampled_from(shape.choices)
    if shape.words in _BY_WORDS:
        return _BY_WORDS[shape.words]
    if bool in shape.types and not shape.free_text:
        return st.booleans()
    if str not in shape.types:
        return st.sampled_from((1, 2, 50) if float not in shape.types else (0.5, 1))
    if not shape.free_text:
        return NAMES
    return _SCALARS if int in shape.types else TEXTS


# What the model asks of several fields at once. ------------------------------------------


def _one_of(document: Document, random: Any, ways: Mapping[str, Any]) -> Document:
    """Keep one of these ways, or take one."""
    given = [key for key in ways if key in document] or [random.choice(sorted(ways))]
    rest = {key: item for key, item in document.items() if key not in ways}
    return {**rest, given[0]: document.get(given[0], ways[given[0]])}


def _fit_probe(document: Document, random: Any) -> Document:
    checks = {"exec": {"command": ["true"]}, "http": {"port": 80}, "tcp": {"port": 80}}
    return _one_of(document, random, {**checks, "grpc": {"port": 80}})


def _fit_mount(document: Document, _random: Any) -> Document:
    kind = document["type"]
    parts = {"volume", "bind", "tmpfs"} - {kind} | ({"source"} if kind == "tmpfs" else set())
    rest = {key: item for key, item in document.items() if key not in parts}
    return rest if kind == "tmpfs" else {**rest, "source": document.get("source") or "/data"}


def _fit_tls(document: Document, random: Any) -> Document:
    pair = {"cert": {"secret": "cert"}, "key": {"secret": "key"}}
    one = _one_of({k: v for k, v in document.items() if k == "certificate"}, random,
                  {"certificate": "arn", "acme": True})  # fmt: skip
    return pair if "cert" in document else one


def _fit_config(document: Document, random: Any) -> Document:
    rest = {key: item for key, item in document.items() if key != "external" or not item}
    if document.get("external"):
        return {k: v for k, v in document.items() if k not in ("file", "content", "encoding")}
    rest = _one_of(rest, random, {"file": "./a.txt", "content": "a"})
    return rest if "content" in rest else {k: v for k, v in rest.items() if k != "encoding"}


def _fit_secret(document: Document, _random: Any) -> Document:
    if document.get("external"):
        return {key: item for key, item in document.items() if key != "provider"}
    return {"provider": "env", **document}


def _fit_metric(document: Document, _random: Any) -> Document:
    rest = {key: item for key, item in document.items() if key != "name"}
    return {**rest, "name": "queue"} if document["type"] == "custom" else rest


def _fit_autoscale(document: Document, _random: Any) -> Document:
    return {**document, "max": max(document["max"], document.get("min", 1))}


_FITS: Mapping[type[BaseModel], Callable[[Document, Any], Document]] = {
    probe.Probe: _fit_probe,
    container.Mount: _fit_mount,
    application.Tls: _fit_tls,
    application.Config: _fit_config,
    application.Secret: _fit_secret,
    deploy.Metric: _fit_metric,
    deploy.Autoscale: _fit_autoscale,
}
