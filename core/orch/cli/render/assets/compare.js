"use strict";
(() => {
  const one = (id) => document.getElementById(id);
  const every = (selector, root = document) => [...root.querySelectorAll(selector)];
  const search = one("search"), boxes = every("input[name=backend]");
  const rows = every("[data-find]"), owned = every("[data-backends]");
  const sections = every("main > section"), found = one("found"), nothing = one("nothing");
  const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const opened = new Set();

  function chosen() {
    return new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  }

  // What belongs to no backend that is shown goes, and so does what lacks a word of the search.
  function refresh() {
    const shown = chosen();
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const theirs = (part) => part.dataset.backends.split(" ").some((name) => shown.has(name));
    for (const part of owned) part.hidden = !theirs(part);
    let count = 0;
    for (const row of rows) {
      const has = wanted.every((word) => words.get(row).includes(word));
      row.hidden = !has || ("backends" in row.dataset && !theirs(row));
      if (!row.hidden) count += 1;
    }
    unfold(wanted.length > 0);
    for (const section of sections) {
      const own = every("[data-find]", section);
      const left = own.some((row) => !row.hidden && !row.closest("[data-backends][hidden]"));
      section.hidden = wanted.length > 0 && !left;
    }
    one("picked").textContent = shown.size === boxes.length ? boxes.length : `${shown.size}/${boxes.length}`;
    found.textContent = wanted.length ? `${count} of ${rows.length}` : "";
    nothing.hidden = !wanted.length || count > 0;
  }

  // While there is a search, what holds a match is open; afterwards it is as it was.
  function unfold(searching) {
    for (const part of every("main details")) {
      const holds = searching && (part.matches("[data-find]:not([hidden])") || part.querySelector("[data-find]:not([hidden])"));
      if (holds && !part.open) {
        part.open = true;
        opened.add(part);
      } else if (!holds && opened.has(part)) {
        part.open = false;
        opened.delete(part);
      }
    }
  }

  function clear() {
    search.value = "";
    refresh();
  }

  function tick(value) {
    for (const box of boxes) box.checked = value;
    refresh();
  }

  function sort(head) {
    const heads = every("th", head.parentElement), at = heads.indexOf(head);
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = head.closest("table").tBodies[0];
    const key = (row) => Number(row.children[at].dataset.key);
    const order = [...body.rows].sort((a, b) => (up ? key(a) - key(b) : key(b) - key(a)));
    body.append(...order);
  }

  function theme() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  }

  search.addEventListener("input", refresh);
  for (const box of boxes) box.addEventListener("change", refresh);
  one("all").addEventListener("click", () => tick(true));
  one("none").addEventListener("click", () => tick(false));
  one("clear").addEventListener("click", () => { clear(); search.focus(); });
  one("theme").addEventListener("click", theme);
  for (const head of every("#overview thead th")) head.querySelector("button").addEventListener("click", () => sort(head));
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input[type=search], textarea, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "Escape") {
      if (one("pick").open) {
        one("pick").open = false;
        one("pick").querySelector("summary").focus();
      } else {
        clear();
      }
    }
  });
  document.addEventListener("click", (event) => {
    if (!one("pick").contains(event.target)) one("pick").open = false;
  });
  refresh();
})();
