from __future__ import annotations

from orch.apply.rollback import earlier_versions


def test_what_is_held_returns_and_what_is_lost_is_told() -> None:
    earlier = {"kept": "a1", "lost": "b1", "same": "c1", "gone": "d1"}
    now = {"kept": "a2", "lost": "b2", "same": "c1", "new": "e1"}
    found = earlier_versions(earlier, now, {"kept": ["a1", "a2"], "lost": ["b2"]})
    assert found.versions == {"kept": "a1", "lost": "b2", "same": "c1", "new": "e1"}
    assert found.notes == ("the secret 'lost' stays as it is: its earlier value is not kept",)
