"""What a person sees and types: the live table, colours, questions, Ctrl-C."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from terminal import Terminal

if TYPE_CHECKING:
    from conftest import Place

ORCH = str(Path(sys.executable).with_name("orch"))
CTRL_C = "\x03"
HELD = ("deploy", "-f", "orch.yaml", "-f", "hold.yaml")


def on_terminal(place: Place, *arguments: str, columns: int = 100, **more: str) -> Terminal:
    return Terminal([ORCH, *arguments], place.folder, place.environment | more, columns)


def release(place: Place) -> None:
    place.write("release", "")


def test_live_table_follows_a_deploy(shop: Place) -> None:
    with on_terminal(shop, *HELD) as terminal:
        terminal.see("held")
        assert "service/web" in terminal.text
        assert "waiting" in terminal.text
        release(shop)
        assert terminal.end() == 0
    last = terminal.text[terminal.text.rindex("RESOURCE") :]
    assert re.search(r"✓\s+\+ service/web\s+2/2\s+2\s+\d+s\s+healthy", last), last
    assert "shop on double/default: done" in last


def test_narrow_terminal_keeps_to_its_width(shop: Place) -> None:
    with on_terminal(shop, *HELD, columns=40) as terminal:
        terminal.see("held")
        release(shop)
        assert terminal.end() == 0
    table = terminal.text[terminal.text.index("RESOURCE") :]
    rows = [row for row in table.splitlines() if "service/" in row and "✓" in row]
    assert rows
    assert all(len(row.rstrip()) <= 40 for row in rows)


def test_failure_shows_the_reason_and_the_last_lines(shop: Place) -> None:
    assert shop.run("deploy").code == 0
    with on_terminal(shop, "deploy", "-f", "orch.yaml", "-f", "bad.yaml") as terminal:
        assert terminal.end() == 5
    assert "its replicas exit with code 1" in terminal.text
    assert "line 19 of web" in terminal.text
    assert "failed and was rolled back" in terminal.text
    assert "back at the last good release" in terminal.text


@pytest.mark.parametrize(
    ("more", "colored"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=["colors", "NO_COLOR", "dumb"],
)
def test_colors(shop: Place, more: dict[str, str], colored: bool) -> None:
    with on_terminal(shop, "plan", **more) as terminal:
        assert terminal.end() == 0
    assert ("\x1b[32m" in terminal.raw) is colored
    if more.get("TERM") == "dumb":
        assert "\x1b" not in terminal.raw


def test_first_ctrl_c_stops_cleanly_and_deploy_goes_on(shop: Place) -> None:
    with on_terminal(shop, *HELD) as terminal:
        terminal.see("held")
        terminal.press(CTRL_C)
        assert terminal.end() == 130
    assert "stopping after the steps that run" in terminal.text
    assert "interrupted" in terminal.text
    assert "run the same command again to go on" in " ".join(terminal.text.split())
    assert json.loads((shop.folder / "state.json").read_text())["lock"] is None
    release(shop)
    assert shop.run(*HELD).code == 0
    assert shop.run("status").out.count("unhealthy") == 0


def test_second_ctrl_c_stops_at_once(shop: Place) -> None:
    stuck = "services: {db: {environment: {STUCK: '1'}}}\n"
    shop.write("stuck.yaml", stuck)
    with on_terminal(shop, "deploy", "-f", "orch.yaml", "-f", "stuck.yaml") as terminal:
        terminal.see("stuck")
        terminal.press(CTRL_C)
        terminal.see("once more stops at once")
        terminal.press(CTRL_C)
        assert terminal.end() == 130
    assert "stopped at once" in terminal.text


def test_ctrl_c_while_following_logs_is_quiet(shop: Place) -> None:
    assert shop.run("deploy").code == 0
    with on_terminal(shop, "logs", "--follow") as terminal:
        terminal.see("web[0] | more")
        terminal.press(CTRL_C)
        assert terminal.end() == 130
    assert "Traceback" not in terminal.text
    assert "unexpected" not in terminal.text


@pytest.mark.parametrize(("answer", "code"), [("n\r", 2), ("y\r", 0)], ids=["no", "yes"])
def test_it_asks_before_data_is_destroyed(shop: Place, answer: str, code: int) -> None:
    assert shop.run("deploy").code == 0
    with on_terminal(shop, "down", "--volumes") as terminal:
        terminal.see("This destroys the data of volume/data. Go on?")
        terminal.press(answer)
        assert terminal.end() == code
    gone = not json.loads((shop.folder / "state.json").read_text())["objects"]
    assert gone is (code == 0)


def test_top_draws_until_it_is_stopped(shop: Place) -> None:
    assert shop.run("deploy").code == 0
    with on_terminal(shop, "top", "--interval", "100ms") as terminal:
        terminal.see("3.0Mi")
        terminal.press(CTRL_C)
        assert terminal.end() in (0, 130)
    assert "Traceback" not in terminal.text


def test_reader_that_goes_away_is_no_fault(shop: Place) -> None:
    assert shop.run("deploy").code == 0
    ended = shop.shell("orch logs --follow | head -2; echo ${PIPESTATUS[0]}")
    assert ended.err == ""
    assert ended.out.splitlines()[-1] == "0"
    ended = shop.shell("orch deploy --set TAG=2 --json | head -1; echo ${PIPESTATUS[0]}")
    assert ended.out.splitlines()[-1] == "0"
    assert "acme/web:2" in (shop.folder / "state.json").read_text()


def test_unexpected_fault_is_short_and_has_its_code(shop: Place) -> None:
    (shop.folder / "state.json").write_text("not JSON")
    ended = shop.run("status")
    assert ended.code == 1
    assert "unexpected fault: JSONDecodeError" in ended.err
    assert "Traceback" not in ended.err
    assert "Traceback" in shop.run("status", ORCH_DEBUG="1").err
