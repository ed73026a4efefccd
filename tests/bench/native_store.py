"""Durable state updates of the native control plane: rows a second, and how long one waits.

Several writers hand in observations of allocations as the control loop does; each row counts only
once it is on the disk (WAL, synchronous=FULL). Prints `name value unit`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from orch_native.messages import State
from orch_native.server.model import Alloc
from orch_native.server.store import Store
from orch_native.server.world import PUT_OBSERVED, World

WRITERS = 8
ROWS_A_TURN = 64
SECONDS = 3.0
ALLOCATIONS = 10_000


def filled(store: Store) -> list[Alloc]:
    """A store that holds so many allocations."""
    world = World(store)
    allocs = [Alloc(f"web-{i}-abcdef", "uid", i, 1, "node") for i in range(ALLOCATIONS)]
    for alloc in allocs:
        world.set_wanted(alloc)
    store.submit(world.taken()).result()
    return allocs


def row(alloc: Alloc, number: int) -> tuple[str, tuple[object, ...]]:
    """One observation."""
    ports = '{"8080/tcp":8080}'
    values = (
        State.RUNNING,
        True,
        True,
        number,
        None,
        "",
        time.time(),
        None,
        "127.0.0.1",
        ports,
        "process",
        alloc.id,
    )
    return PUT_OBSERVED, values


def write(store: Store, allocs: list[Alloc], end: float, waits: list[float]) -> None:
    """Hand in turn after turn, each after the last one is durable."""
    number = 0
    while time.perf_counter() < end:
        rows = [row(alloc, number) for alloc in allocs[:ROWS_A_TURN]]
        began = time.perf_counter()
        store.submit(rows).result()
        waits.append(time.perf_counter() - began)
        allocs = allocs[ROWS_A_TURN:] + allocs[:ROWS_A_TURN]
        number += 1


def main(folder: str | None = None) -> None:
    """Measure in a scratch folder, or in the one that is given."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        store = Store(Path(scratch) / "native.db")
        allocs = filled(store)
        share = len(allocs) // WRITERS
        waits: list[float] = []
        began = time.perf_counter()
        threads = [
            threading.Thread(
                target=write,
                args=(store, allocs[i * share : (i + 1) * share], began + SECONDS, waits),
            )
            for i in range(WRITERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        store.close()
    quantiles = statistics.quantiles(waits, n=100)
    print(f"native-store-updates {len(waits) * ROWS_A_TURN / took:.0f} rows/s")
    print(f"native-store-wait-p50 {quantiles[49] * 1000:.1f} ms")
    print(f"native-store-wait-p99 {quantiles[98] * 1000:.1f} ms")


if __name__ == "__main__":
    main(*sys.argv[1:2])
