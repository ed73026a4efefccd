"""How the pages are built: MyST in, furo out, reference pages generated from the code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

from generate import write_pages
from orch.version import __version__

project = "orch"
release = version = __version__
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"orch {release}"
html_show_copyright = False
nitpicky = True


def setup(app: Sphinx) -> None:
    """Write the generated pages before Sphinx looks for sources."""
    write_pages(Path(app.srcdir) / "reference" / "generated")
