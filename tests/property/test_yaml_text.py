"""What is printed as YAML is what PyYAML would print, and is read back as it was."""

from __future__ import annotations

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from orch.cli.render.yaml import yaml_text

WORDS = ("yes", "on", "null", "~", "1", "1_000", "0x1F", "2020-01-01", "1:30", "<<", "=", "-", "")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False).filter(lambda number: number != 0)
    | st.sampled_from(WORDS)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    SCALARS, lambda part: st.lists(part) | st.dictionaries(st.text(max_size=5), part), max_leaves=20
)


@given(VALUES)
@example({"a": [1, True, 1.0, "1", "true", "1.0"], "b": {}, "c": [[], [[]]], "d": "a\n b\n"})
def test_it_is_what_pyyaml_prints(value: object) -> None:
    said = yaml_text(value)
    assert said == yaml.dump(
        value, Dumper=_Plain, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    assert yaml.safe_load(said) == value


class _Plain(yaml.CSafeDumper):
    def ignore_aliases(self, _data: object) -> bool:
        return True


def test_what_occurs_twice_is_written_twice() -> None:
    part = {"a": [1]}
    assert yaml_text({"x": part, "y": part}) == "x:\n  a:\n  - 1\ny:\n  a:\n  - 1\n"
