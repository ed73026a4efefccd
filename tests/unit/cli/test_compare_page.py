"""The page of a comparison: one file, and nothing that stands in a spec can act in it."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from orch.backend.discovery import installed
from orch.cli.render.compare_page import comparison_page
from orch.compare.compare import compare
from orch.compare.prices import PriceTable
from orch.compile.levels import Level
from orch.load.source import Loaded, app_from_document
from orch.types import Place

EVIL = "</script><script>alert(1)</script>"


NODE = {"backend": "native", "item": "node", "cpus": 8, "memory": "32G", "price": 40,
        "per": "month", "seen": "2026-11-01", "source": "https://prices.example/list"}  # fmt: skip


def page(*prices: dict[str, object], **service: object) -> str:
    document = {"name": "shop", "services": {"web": {"image": "acme/web:1", **service}}}
    app = app_from_document(document)
    backends = {name: installed().backend(name) for name in ("native", "swarm")}
    table = PriceTable.model_validate({"version": 1, "currency": "EUR", "prices": prices})
    compared = compare(app, backends, Level.LOOSE, tables=[table])
    return comparison_page(compared, Loaded(app, Path(), None, lambda _: Place()))


def test_text_of_the_spec_is_text_of_the_page() -> None:
    made = page(environment={"EVIL": EVIL}, labels={EVIL: "x"}, command=["a", EVIL])
    assert EVIL not in made
    assert "&lt;script&gt;alert(1)" in made
    assert made.count("<script>") == made.count("</script>") == 1


def test_only_the_pages_own_script_may_run_and_nothing_is_fetched() -> None:
    made = page()
    script = re.search(r"<script>(.*)</script>", made, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', made)
    assert script
    assert policy
    digest = b64encode(sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1]
    assert policy[1].startswith("default-src 'none'")
    assert not re.search(r'(src|href)="(?!#|data:|https://)', made)
    assert "@import" not in made
    assert "url(" not in made


def test_a_price_tells_its_source_and_what_that_is() -> None:
    sizes = {"resources": {"reservations": {"cpus": 1, "memory": "1Gi"}}}
    made = page({**NODE, "basis": "a <list> of others"}, deploy=sizes)
    assert 'href="https://prices.example/list"' in made
    assert "prices.example</a>: a &lt;list&gt; of others" in made
    assert "prices.example</a></td>" in page(NODE, deploy=sizes)


def test_a_path_folds_behind_its_dots_and_is_escaped_first() -> None:
    made = page(labels={"a<b": "x"}, deploy={"update_config": {"canary": 1}})
    assert "services.<wbr>web.<wbr>deploy.<wbr>update_config.<wbr>canary" in made
    assert "a<b" not in made
