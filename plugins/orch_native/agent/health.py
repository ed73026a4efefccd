"""What the probes of one allocation say together; its record keeps it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch_native.agent.driver import Driver
    from orch_native.agent.pod import Piece, Pod
    from orch_native.agent.probes import Address, Guard, Prober
    from orch_native.agent.record import Record


class Health:
    """An allocation is started and ready when each of its containers is.

    `judged` is called when the record was changed; `unhealthy`, with the reason, when one
    of them must be restarted. Both come from another thread and must not wait.
    """

    def __init__(
        self,
        pod: Pod,
        driver: Driver,
        record: Record,
        prober: Prober,
        *,
        judged: Callable[[], None],
        unhealthy: Callable[[Piece, str], None],
    ) -> None:
        self._pod, self._driver, self._record, self._prober = pod, driver, record, prober
        self._judged, self._unhealthy = judged, unhealthy
        self._guards: list[Guard] = []

    def begin(self, address: Address) -> None:
        """Probe the main container and its sidecars, from what the record knows on."""
        self.end()
        record = self._record
        self._guards = [
            self._prober.guard(
                self._pod,
                piece,
                self._driver,
                address=address,
                resumed=(record.started, record.ready),
                changed=self._judge,
                unhealthy=partial(self._unhealthy, piece),
            )
            for piece in (self._pod.main, *self._pod.sidecars)
        ]
        self._judge()

    def end(self) -> None:
        """Probe no more."""
        guards, self._guards = self._guards, []
        for guard in guards:
            guard.end()

    def _judge(self) -> None:
        guards = self._guards
        if not guards:
            return
        ready = all(guard.ready for guard in guards)
        started = all(guard.started for guard in guards)
        why = self._pod.without_secrets(next((g.message for g in guards if g.message), ""))
        record = self._record
        if (ready, started, why) != (record.ready, record.started, record.message):
            record.ready, record.started, record.message = ready, started, why
            self._judged()
