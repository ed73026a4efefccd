"""What a platform makes of the cpu and memory that a replica asks for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """Processors in thousandths, and memory in bytes."""

    cpus: int = 0
    memory: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.cpus + other.cpus, self.memory + other.memory)

    def at_least(self, other: Size) -> Size:
        """The larger of each."""
        return Size(max(self.cpus, other.cpus), max(self.memory, other.memory))

    def times(self, count: int) -> Size:
        """So many of it together."""
        return Size(self.cpus * count, self.memory * count)

    def fits(self, room: Size) -> bool:
        """Whether there is room for it."""
        return self.cpus <= room.cpus and self.memory <= room.memory


@dataclass(frozen=True, slots=True)
class Offer:
    """A share of processors in thousandths, and the memory that can be had with it, in bytes."""

    cpus: int
    least: int
    most: int
    step: int

    def holding(self, asked: Size) -> Size | None:
        """The smallest size of this offer that holds what is asked, None when none does."""
        over = max(asked.memory - self.least, 0)
        memory = self.least + -(-over // self.step) * self.step
        fits = asked.cpus <= self.cpus and memory <= self.most
        return Size(self.cpus, memory) if fits else None


@dataclass(frozen=True, slots=True)
class SizeRule:
    """How a platform rounds what is asked for, in this order.

    `limits_count`: a container with a limit and no reservation asks for its limit. `unsaid` is
    what a container gets that says neither, `minimum` the least that one gets. Of all containers
    of a replica together: `overhead` bytes are added; `ratio` is the least and the most memory, in
    bytes for each whole processor; `offers` are the sizes that can be had, smallest first, and
    none means any.
    """

    limits_count: bool = False
    unsaid: Size = Size()
    minimum: Size = Size()
    overhead: int = 0
    ratio: tuple[int, int] | None = None
    offers: tuple[Offer, ...] = ()

    def container(self, reserved: Size, limited: Size) -> Size:
        """What one container asks for; 0 stands for what is not said."""
        wish = Size(
            reserved.cpus or (limited.cpus if self.limits_count else 0) or self.unsaid.cpus,
            reserved.memory or (limited.memory if self.limits_count else 0) or self.unsaid.memory,
        )
        return wish.at_least(self.minimum)

    def replica(self, asked: Size) -> Size | None:
        """What a whole replica gets, None when no size holds it."""
        wish = self._in_proportion(Size(asked.cpus, asked.memory + self.overhead))
        if not self.offers:
            return wish
        held = (offer.holding(wish) for offer in self.offers)
        return next((size for size in held if size), None)

    def _in_proportion(self, wish: Size) -> Size:
        if self.ratio is None:
            return wish
        least, most = self.ratio
        return wish.at_least(Size(-(-wish.memory * 1000 // most), wish.cpus * least // 1000))


ANY_SIZE = SizeRule()
"""Nothing is rounded."""
