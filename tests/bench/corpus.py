"""Read every Compose file of the corpus: how many are read, how many keys have no row.

The corpus is at ORCH_CORPUS, or beside the project in ../shared/corpus. Files are read alone, as
`orch validate` reads them; a refusal with place, fault and mend is an outcome too.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path

from measure import report

from orch.backend.discovery import installed
from orch.errors import InvalidSpec, OrchError

ROOT = Path(__file__).parents[2]
CORPUS = Path(os.environ.get("ORCH_CORPUS", ROOT.parent / "shared" / "corpus")) / "compose"


def outcome(path: Path) -> tuple[str, Counter[str]]:
    """How one file fared, and its ledger's rows by outcome."""
    reader = installed().readers["compose"]
    try:
        reading = reader.read((path,), {}, ())
    except InvalidSpec:
        return "refused", Counter()
    except OrchError:
        return "refused", Counter()
    except Exception as fault:  # noqa: BLE001  (that is what is counted)
        print(f"{path}: {type(fault).__name__}: {fault}", file=sys.stderr)
        return "crashed", Counter()
    return "read", Counter(str(entry.outcome) for entry in reading.ledger)


if not CORPUS.is_dir():
    sys.exit(f"there is no corpus at {CORPUS}; ORCH_CORPUS names another place")
files = sorted(p for p in CORPUS.rglob("*") if p.suffix in (".yml", ".yaml", ".json"))
started = time.perf_counter()
outcomes = [outcome(path) for path in files]
report("corpus_compose_files", len(files), "files")
report("corpus_compose_seconds", time.perf_counter() - started, "s")
for kind, count in Counter(kind for kind, _ in outcomes).items():
    report(f"corpus_compose_{kind}", count, "files")
for row, count in sum((rows for _, rows in outcomes), Counter()).items():
    report(f"corpus_compose_rows_{row}", count, "rows")
