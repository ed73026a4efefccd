"""The short forms of ports, volumes, devices and hosts, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_PORTS = re.compile(r"(\d+)(?:-(\d+))?")
_PROPAGATION = frozenset(("private", "rprivate", "shared", "rshared", "slave", "rslave"))
_CONSISTENCY = frozenset(("consistent", "cached", "delegated"))
MAX_PORT = 65535
PORT_FORM = 'write "8080:80", "127.0.0.1:8080:80/tcp" or 80'


def port_range(text: str) -> tuple[int, int]:
    """First and last port of `8000` or `8000-8010`. Raises ValueError."""
    match = _PORTS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a port; {PORT_FORM}")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first or last > MAX_PORT:
        raise ValueError(f"{text!r} is no range of ports up to {MAX_PORT}; {PORT_FORM}")
    return first, last


def ports(text: str) -> list[dict[str, Any]]:
    """The ports of a short form, as long ones.

    `published` is text; it stays a range when a range is offered for a single target.
    """
    rest, _, protocol = text.strip().partition("/")
    host_ip, published, target = _port_parts(rest)
    first, last = port_range(target)
    named: dict[str, Any] = {"protocol": protocol.lower()} if protocol else {}
    if host_ip:
        named["host_ip"] = host_ip
    if not published:
        return [{"target": port, **named} for port in range(first, last + 1)]
    start, end = port_range(published)
    if first == last:
        return [{"target": first, "published": published, **named}]
    if end - start != last - first:
        raise ValueError(f"the ranges of {text!r} differ in length; make them equally long")
    return [
        {"target": first + step, "published": str(start + step), **named}
        for step in range(last - first + 1)
    ]


def _port_parts(text: str) -> tuple[str, str, str]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]:")
        published, _, target = rest.rpartition(":")
        if not bracket:
            raise ValueError(f"{text!r} has no closing bracket; {PORT_FORM}")
        return host, published, target
    front, _, target = text.rpartition(":")
    host, _, published = front.rpartition(":")
    return host, published, target


@dataclass(slots=True)
class ShortMount:
    """A volume's short form: what stands where, and its options."""

    source: str
    target: str
    options: list[str] = field(default_factory=list)

    @property
    def is_path(self) -> bool:
        """Whether the source is a path of the host; otherwise it is a volume's name."""
        return self.source.startswith((".", "/", "~", "\\")) or bool(_DRIVE.match(self.source))


def mount(text: str) -> ShortMount:
    """Take `source:target:options` apart; Windows' drive letters are minded."""
    parts = _split_drives(text)
    if any(not part.strip() for part in parts) or not parts:
        raise ValueError(f"{text!r} has an empty part; write source:/path or source:/path:ro")
    if len(parts) == 1:
        return ShortMount("", parts[0])
    source, target, *options = parts
    if len(options) > 1:
        raise ValueError(f"{text!r} has too many colons; write source:/path:ro,z")
    return ShortMount(source, target, options[0].split(",") if options else [])


def _split_drives(text: str) -> list[str]:
    parts: list[str] = []
    pieces = text.split(":")
    index = 0
    while index < len(pieces):
        piece = pieces[index]
        following = pieces[index + 1] if index + 1 < len(pieces) else ""
        if len(piece) == 1 and piece.isalpha() and following[:1] in ("\\", "/"):
            parts.append(f"{piece}:{following}")
            index += 1
        else:
            parts.append(piece)
        index += 1
    return parts


def mount_option(option: str, *, bind: bool) -> tuple[tuple[str, ...], Any]:
    """Where an option of a short form belongs in the long one, and its value."""
    if option in ("ro", "rw"):
        return ("read_only",), option == "ro"
    if option == "nocopy":
        return ("volume", "nocopy"), True
    if option in _CONSISTENCY:
        return ("consistency",), option
    if bind and option in ("z", "Z"):
        return ("bind", "selinux"), option
    if bind and option in _PROPAGATION:
        return ("bind", "propagation"), option
    return ("option",), option


def device(text: str) -> dict[str, str]:
    """`/dev/a:/dev/b:rw` as source, target and permissions; a CDI name is a source alone."""
    if "=" in text and not text.startswith("/"):
        return {"source": text}
    names = ("source", "target", "permissions")
    parts = text.split(":")
    if len(parts) == 2 and re.fullmatch("[rwm]+", parts[1]):  # noqa: PLR2004
        return {"source": parts[0], "permissions": parts[1]}
    if len(parts) > len(names) or not parts[0]:
        raise ValueError(f"{text!r} is not a device; write /dev/a:/dev/b:rwm")
    return dict(zip(names, parts, strict=False))


def extra_host(text: str) -> tuple[str, str]:
    """`host:address` or `host=address`; brackets around an IPv6 address are taken off."""
    equals, colon = text.find("="), text.find(":")
    cut = equals if equals > 0 and (colon < 0 or equals < colon) else colon
    host, address = text[:cut].strip(), text[cut + 1 :].strip()
    if cut < 1 or not address:
        raise ValueError(f'{text!r} names no address; write "host=10.0.0.1"')
    return host, address.strip("[]")


def pair(text: str) -> tuple[str, str | None]:
    """`KEY=value`, or `KEY` alone with None."""
    key, equals, value = text.partition("=")
    return key.strip(), value if equals else None


def tmpfs(text: str) -> tuple[str, dict[str, str | None]]:
    """`/run:size=64m,mode=1777` as the target and its options."""
    target, _, options = text.partition(":")
    return target, dict(pair(option) for option in options.split(",") if option)
