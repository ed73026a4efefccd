"""Fields of the spec, found by the end of their path."""

from __future__ import annotations

from orch.cli.fields import all_fields, beside, children, find, leaf_pattern


def paths(wanted: str) -> list[str]:
    return [field.path for field in find(wanted)]


def test_a_name_or_index_fits_the_star() -> None:
    assert paths("services.web.deploy.replicas") == ["services.*.deploy.replicas"]
    assert paths("services.web.ports[0].target") == ["services.*.ports.*.target"]


def test_names_and_indexes_may_be_left_out() -> None:
    assert paths("services.web.ports.target") == ["services.*.ports.*.target"]
    assert paths("services.deploy.replicas") == ["services.*.deploy.replicas"]
    assert paths("web.deploy") == []


def test_the_end_of_a_path_is_enough() -> None:
    assert paths("update_config.order") == ["services.*.deploy.update_config.order"]


def test_the_shallowest_fields_win() -> None:
    found = paths("image")
    assert found == ["services.*.image", "jobs.*.image"]


def test_an_alias_is_told_as_files_spell_it() -> None:
    assert "policies.*.from" in {field.path for field in all_fields()}


def test_nothing_fits() -> None:
    assert find("no_such") == []


def test_beside_are_those_of_the_same_parent() -> None:
    near = {field.path for field in beside("services.web.prot")}
    assert {"services.*.ports", "services.*.image"} <= near
    assert all(path.count(".") == 2 for path in near)
    assert beside("prot") == []


def test_children_are_one_level_below() -> None:
    (probe,) = find("services.web.probes.readiness")
    assert "interval" in children(probe)
    (ports,) = find("services.web.ports")
    assert "*.target" in children(ports)
    assert all(name.count(".") == 1 for name in children(ports))


def test_the_leaf_of_a_mapping_is_its_item() -> None:
    (labels,) = find("services.web.labels")
    assert leaf_pattern(labels) == ("services", "*", "labels", "*")
    (deploy,) = find("services.web.deploy")
    assert leaf_pattern(deploy) == ()
