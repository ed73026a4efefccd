"""The page of a comparison in a real browser: search, keyboard, backends, sorting, widths."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

ORCH = Path(sys.executable).with_name("orch")
EVIL = (
    "</script><script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">"
)
SPEC = """
apiVersion: orch/v1
name: shop
services:
  db:
    image: postgres:17
    cap_drop: [ALL]
    volumes: [{type: volume, source: data, target: /data}]
    deploy: {resources: {reservations: {cpus: "1", memory: 2G}}}
  web:
    image: acme/web:1
    labels: {note: %s}
    ports: [{target: 8080, published: 80}]
    depends_on: {db: {condition: service_started}}
    deploy:
      replicas: 2
      update_config: {canary: 1}
      resources: {reservations: {cpus: "0.5", memory: 1G}}
volumes: {data: {size: 10G}}
"""
CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (part) => {
    for (let at = part; at; at = at.parentElement) {
      const color = rgb(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const kinds = "h1, h2, p, th, td, dd, dt, li, .chip, .verdict, summary, a";
  const holds = (part) => part.checkVisibility() && part.textContent.trim()
    && !part.querySelector(".no-value");
  return [...document.querySelectorAll(kinds)].filter(holds).map((part) => {
    const color = rgb(getComputedStyle(part).color);
    const [more, less] = [light(color), light(ground(part))].sort((a, b) => b - a);
    const told = part.textContent.trim().slice(0, 40);
    return [(more + 0.05) / (less + 0.05), part.className || part.tagName, told];
  }).filter(([ratio]) => ratio < 4.5);
}"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a spec whose author is not to be trusted."""
    folder = tmp_path_factory.mktemp("page")
    quoted = EVIL.replace("'", "''")
    (folder / "orch.yaml").write_text(SPEC % f"'{quoted}'")
    made = subprocess.run(
        [ORCH, "compare", "--loose", "--output", "html"],
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=60,
    )
    page = folder / "compare.html"
    page.write_bytes(made.stdout)
    assert made.stdout.startswith(b"<!doctype html>"), made.stderr.decode()
    return page


@pytest.fixture
def page(offline: BrowserContext, file: Path) -> Iterator[Page]:
    """The page, opened from its file; it must make no request and raise no fault."""
    page = offline.new_page()
    requests: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.on("console", lambda message: faults.append(message.text))
    page.goto(file.as_uri())
    yield page
    assert requests == [file.as_uri()]
    assert faults == []


def test_what_a_spec_says_does_not_run(page: Page) -> None:
    title = re.compile(r"shop: \d+ backends compared")
    expect(page).to_have_title(title)
    page.get_by_text("web", exact=True).last.click()
    expect(page.locator("pre", has_text="onerror").first).to_be_attached()
    assert page.locator("img").count() == 0
    expect(page).to_have_title(title)


def test_a_slash_begins_a_search_and_escape_ends_it(page: Page) -> None:
    search = page.get_by_role("searchbox")
    rows = page.locator("[data-find]:visible")
    before = rows.count()
    page.keyboard.press("/")
    expect(search).to_be_focused()
    page.keyboard.type("canary swarm has no")
    lost = page.locator(".row:visible")
    expect(lost).to_have_count(1)
    expect(lost).to_contain_text("services.web.deploy.update_config.canary")
    expect(page.locator("#found")).to_have_text(f"1 of {page.locator('[data-find]').count()}")
    expect(page.get_by_role("heading", name="At a glance")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(search).to_have_value("")
    expect(page.get_by_role("heading", name="At a glance")).to_be_visible()
    expect(page.locator(".row:visible")).to_have_count(0)  # what the search opened is closed again
    assert rows.count() == before


def test_a_search_looks_into_manifests_and_says_when_nothing_is_found(page: Page) -> None:
    page.get_by_role("searchbox").fill("PersistentVolumeClaim")
    expect(page.locator("details.part:visible .name")).to_have_text(["data", "db"])
    expect(page.locator("details.part:visible pre").last).to_be_visible()
    page.get_by_role("searchbox").fill("nosuchword")
    expect(page.locator("#nothing")).to_be_visible()
    page.get_by_role("button", name="Clear the search").click()
    expect(page.locator("#nothing")).to_be_hidden()
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_a_slash_that_is_typed_into_the_search_stays_there(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("a/b")
    expect(page.get_by_role("searchbox")).to_have_value("a/b")


def test_backends_are_chosen_by_keyboard(page: Page) -> None:
    overview = page.locator("#overview tbody tr:visible")
    every = page.locator("input[name=backend]").count()
    expect(overview).to_have_count(every)
    page.locator("#pick summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="None")).to_be_focused()
    page.keyboard.press("Enter")
    expect(overview).to_have_count(0)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(overview).to_have_count(1)
    expect(overview.locator("th")).to_have_text("native")
    expect(page.locator("#picked")).to_have_text(f"1/{every}")
    columns = page.locator("section[aria-labelledby=h-differing] thead th:visible")
    expect(columns).to_have_text(["Field", "native"])
    page.keyboard.press("Escape")
    expect(page.locator("#pick fieldset")).to_be_hidden()
    expect(page.locator("#pick summary")).to_be_focused()


def test_columns_sort_both_ways_by_keyboard(page: Page) -> None:
    held = page.locator("#overview thead th", has_text="Held")
    shares = page.locator("#overview tbody td[data-label=Held]")
    held.locator("button").focus()
    page.keyboard.press("Enter")
    expect(held).to_have_attribute("aria-sort", "ascending")
    values = [float(str(cell.get_attribute("data-key"))) for cell in shares.all()]
    assert values == sorted(values)
    page.keyboard.press("Enter")
    expect(held).to_have_attribute("aria-sort", "descending")
    again = [float(str(cell.get_attribute("data-key"))) for cell in shares.all()]
    assert again == sorted(values, reverse=True)
    assert len(set(values)) > 1


def test_everything_that_can_be_used_is_reached_by_tab_and_shows_its_focus(page: Page) -> None:
    wanted = page.locator(
        "a[href]:visible, button:visible, input:visible, summary:visible, [tabindex='0']:visible"
    ).count()
    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        at, outline = page.evaluate(
            "[[...document.body.querySelectorAll('*')].indexOf(document.activeElement),"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        if at >= 0:  # behind the last one the page itself has its turn
            assert outline != "none"
            reached.add(at)
    assert len(reached) >= wanted


def test_a_price_tells_its_source(page: Page) -> None:
    page.locator("details.cost summary").first.click()
    link = page.locator("details.cost[open] a").first
    expect(link).to_be_visible()
    assert str(link.get_attribute("href")).startswith("https://")


@pytest.mark.parametrize("width", [320, 380, 768, 1400])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_fits_and_can_be_read(
    browser: Browser, file: Path, width: int, theme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
    page.goto(file.as_uri())
    for summary in page.locator("main summary").all():
        if not summary.evaluate("part => part.parentElement.open"):
            summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(CONTRAST) == []
    page.close()


def test_the_theme_is_switched(page: Page) -> None:
    color = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(color)
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate(color) != before
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate(color) == before
