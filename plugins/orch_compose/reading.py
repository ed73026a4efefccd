"""Compose files to one `orch/v1` document and the account of every key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.backend.contract import Reading
from orch.errors import InvalidSpec
from orch.load.account import Writer, make_ledger, settle
from orch.types import Consequence, Fidelity, LedgerEntry, Severity
from orch_compose.check import check
from orch_compose.losses import loss_of
from orch_compose.network import DEFAULT, joins_networks, link_aliases, needs_alias
from orch_compose.part import Part, Surroundings, dropped_of, jobs_of
from orch_compose.project import Project, folder_of
from orch_compose.sections import share_volumes, write_sections
from orch_compose.service import write_service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from orch.load.item import Item


def read_files(
    files: Sequence[Path], variables: Mapping[str, str], profiles: Sequence[str]
) -> Reading:
    """Read files that override each other. Raises InvalidSpec with every fault found."""
    project = Project(variables, profiles)
    model, name = project.read(files)
    if not project.faults.found:
        check(model, project.faults)
    errors = [d for d in project.faults.found if d.severity is Severity.ERROR]
    if errors:
        raise InvalidSpec(sorted(set(errors), key=lambda d: (d.place, str(d.path), d.fault)))
    writer = _written(model, name, folder_of(files), project, variables)
    settle(model, loss_of)
    ledger = make_ledger(project.leaves, loss_of, tuple(_defaults(model)))
    return Reading(writer.document, ledger, writer.places, tuple(dict.fromkeys(project.files)))


def read_name(files: Sequence[Path], variables: Mapping[str, str]) -> str:
    """The name of the application. Raises InvalidSpec when a file is no YAML."""
    project = Project(variables, ())
    name = project.read_name(files)
    if project.faults.found:
        raise InvalidSpec(project.faults.found)
    return name


def _written(
    model: Item, name: str, base: str, project: Project, variables: Mapping[str, str]
) -> Writer:
    writer = Writer(loss_of)
    writer.set(("name",), name, model)
    writer.put(("name",), model.get("name"))
    around = _surroundings(model, base, project)
    for service, item in _services(model):
        if service in around.dropped:
            reason = "something outside the application provides it"
            mend = "see that it is there, and give its address as a variable"
            writer.lose(item, reason, mend, Consequence.AVAILABILITY)
        else:
            write_service(Part(service, item, writer, around))
    _alias_links(writer, around)
    write_sections(writer, around, variables)
    if around.names_default_network:
        writer.document.setdefault("networks", {}).setdefault(DEFAULT, {})
    share_volumes(writer)
    _extensions(writer, model)
    return writer


def _services(model: Item) -> Iterator[tuple[str, Item]]:
    services = model.get("services")
    for name, item in services.items() if services is not None else ():
        if not name.startswith("x-"):
            yield name, item


def _surroundings(model: Item, base: str, project: Project) -> Surroundings:
    volumes = model.get("volumes")
    taken = {name: "" for name, _ in volumes.items()} if volumes is not None else {}
    return Surroundings(
        model,
        base,
        jobs_of(model),
        dropped_of(model),
        project.environment_profiles,
        _names_default_network(model),
        taken,
    )


def _names_default_network(model: Item) -> bool:
    """Whether the default network must be spelt out, because something is said of it."""
    if model.at("networks", DEFAULT) is not None:
        return True
    linked = {
        target for name, item in _services(model) for target, _, _ in link_aliases(name, item)
    }
    for name, service in _services(model):
        networks = service.get("networks")
        if networks is not None and networks.value:
            if DEFAULT in networks.value:
                return True
        elif joins_networks(service) and (needs_alias(name, service) or name in linked):
            return True
    return False


def _alias_links(writer: Writer, around: Surroundings) -> None:
    for name, service in _services(around.model):
        for target, alias, item in link_aliases(name, service):
            path = (around.section(target), target, "networks")
            for network in writer.get(path) or {}:
                aliases = writer.get((*path, network, "aliases")) or []
                if alias not in aliases:
                    writer.set((*path, network, "aliases", len(aliases)), alias, item)


def _extensions(writer: Writer, model: Item) -> None:
    for key, item in model.items():
        if key.startswith("x-"):
            writer.put((key,), item, item.plain())
        elif key == "services":
            for name, part in item.items():
                if name.startswith("x-"):
                    reason = "it is no service"
                    writer.lose(part, reason, "", Consequence.COSMETIC)


def _defaults(model: Item) -> Iterator[LedgerEntry]:
    """Compose leaves a service alone that ended; a platform keeps it up. One row says so."""
    jobs, dropped = jobs_of(model), dropped_of(model)
    for name, service in _services(model):
        policy = service.at("deploy", "restart_policy")
        if name in jobs or name in dropped or service.get("restart") or policy is not None:
            continue
        yield LedgerEntry(
            ("services", "*", "restart"),
            Fidelity.DEGRADED,
            Consequence.AVAILABILITY,
            reason="Compose does not restart what ended unless told to; here it is started again",
            mend='write restart: "no" where a service is to stay down',
            default=True,
        )
        return
