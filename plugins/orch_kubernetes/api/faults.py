"""Faults of the cluster's API, by what the caller does next."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from orch.errors import (
    Conflict,
    Denied,
    OrchError,
    Refused,
    Transient,
    Unreachable,
    innermost,
)
from orch.types import Diagnostic, render_path

if TYPE_CHECKING:
    from orch.types import FieldPath

_THROTTLED = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
_ADMISSION = ("admission webhook", "validatingadmissionpolicy")
_OF_ADMISSION = re.compile(r'is forbidden: (?!User ")')
"""A lack of rights says who can't do what; any other 403 to a write comes from an admission."""
_IMMUTABLE = (
    "field is immutable",
    "are forbidden",
    "may not change once set",
    "may not be changed",
    "is immutable after creation",
    "can not be unset once set",
)
NO_DRY_RUN = "does not support dry run"
TAKE_OVER = "leave it to them, or deploy with --option take_over=yes to own it here"


def forget_release(name: str, space: str) -> str:
    """The command by which Helm forgets a release, while its objects stay."""
    return f"kubectl delete secret -n {space} -l owner=helm,name={name}"


HELM = (
    "Helm's next upgrade takes it back unless it forgets the release: "
    f"{forget_release('RELEASE', 'NAMESPACE')}"
)
_MANAGER = re.compile(r'conflict with "(?P<name>[^"]*)"(?P<rest>.*)', re.DOTALL)
_PART = re.compile(r"\.(?P<key>[^.\[\]]+)|\[(?P<item>(?:[^\]\"]|\"(?:[^\"\\]|\\.)*\")*)\]")
_PAIR = re.compile(r'(?P<key>[A-Za-z]\w*)=(?P<value>"(?:[^"\\]|\\.)*"|[^,]+)')


class Missing(OrchError):
    """What was asked for is not there."""


class Expired(OrchError):
    """A list or a watch can't be gone on with: it has to be begun anew."""


class NoDryRun(OrchError):
    """Something that watches over the cluster can't be asked without an effect."""


class Invalid(Refused):
    """The API can't take an object; `immutable` says that it can't be changed to this."""

    immutable = False


class FieldConflict(Conflict):
    """Others own fields that are to be set; `owners` are pairs of manager and field."""

    def __init__(self, owners: Sequence[Owner], place: str) -> None:
        self.owners = tuple(owners)
        said = "; ".join(f"{owner.manager} owns {owner.field}" for owner in owners)
        by_helm = any(owner.manager.lower().startswith("helm") for owner in owners)
        mend = f"{TAKE_OVER}; {HELM}" if by_helm else TAKE_OVER
        super().__init__(said, place=place, mend=mend)


class Owner:
    """One field that somebody else owns; `applies` says that they apply it again and again."""

    def __init__(self, cause: Mapping[str, Any]) -> None:
        message = str(cause.get("message", ""))
        found = _MANAGER.match(message)
        self.manager = found["name"] if found else message
        self.applies = found is None or " using " not in found["rest"]
        self.path = steps_of(str(cause.get("field", "")))
        self.field = render_path(tuple(_shown(step) for step in self.path))


Step = str | tuple[tuple[str, str], ...]


def steps_of(field: str) -> tuple[Step, ...]:
    """The keys of a field as the API writes it; an item of a list by its natural keys."""
    steps: list[Step] = []
    for found in _PART.finditer(field):
        if found["key"] is not None:
            steps.append(found["key"])
        else:
            pairs = _PAIR.finditer(found["item"])
            steps.append(tuple((pair["key"], pair["value"].strip('"')) for pair in pairs))
    return tuple(steps)


def _shown(step: Step) -> str:
    return step if isinstance(step, str) else "/".join(value for _, value in step)


def holds(body: Any, path: Sequence[Step]) -> bool:
    """Whether a body sets a field."""
    for step in path:
        if isinstance(step, str):
            if not isinstance(body, dict) or step not in body:
                return isinstance(body, list)
            body = body[step]
        else:
            items = body if isinstance(body, list) else []
            fitting = [i for i in items if fits(i, step)]
            if not fitting:
                return False
            body = fitting[0]
    return True


def fits(item: Any, pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether an item of a list has these natural keys."""
    return isinstance(item, dict) and all(
        str(item.get(key, "TCP" if key == "protocol" else "")) == value for key, value in pairs
    )


# -- answers ---------------------------------------------------------------------------------------


def fault_of(status: int, said: Mapping[str, Any], place: str) -> OrchError:
    """A refused call by what the caller does next; `said` is the API's Status."""
    told = str(said.get("message") or said.get("reason") or status)
    low = told.lower()
    causes = (said.get("details") or {}).get("causes") or ()
    if NO_DRY_RUN in low:
        return NoDryRun(told, place=place)
    if "is being terminated" in low:
        mend = "wait until it is gone, then deploy again"
        return Transient(told, place=place, mend=mend)
    if _is_admission(status, told):
        return Refused(told, place=place, mend="change the spec, or what admits it")
    if status in _BY_STATUS:
        return _BY_STATUS[status](told, causes, place)
    if status in _THROTTLED:
        return Transient(f"the cluster answers {status}: {told}", place=place)
    return OrchError(f"the cluster refuses it ({status}): {told}", place=place)


def _is_admission(status: int, told: str) -> bool:
    by_name = any(words in told.lower() for words in _ADMISSION)
    if by_name and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return True
    return status == HTTPStatus.FORBIDDEN and _OF_ADMISSION.search(told) is not None


Causes = Sequence[Mapping[str, Any]]


def _unknown(told: str, _causes: Causes, place: str) -> OrchError:
    mend = "log in again; `kubectl auth whoami` shows as whom"
    return Denied(f"the cluster denies it: {told}", place=place, mend=mend)


def _forbidden(told: str, _causes: Causes, place: str) -> OrchError:
    return Denied(f"the cluster denies it: {told}", place=place, mend=_right_for(told))


def _missing(told: str, _causes: Causes, place: str) -> OrchError:
    return Missing(told, place=place)


def _expired(told: str, _causes: Causes, place: str) -> OrchError:
    return Expired(told, place=place)


def _conflict(told: str, causes: Causes, place: str) -> OrchError:
    owners = [Owner(c) for c in causes if c.get("reason") == "FieldManagerConflict"]
    mend = "somebody else changed it meanwhile: make the plan again"
    return FieldConflict(owners, place) if owners else Conflict(told, place=place, mend=mend)


def _right_for(told: str) -> str:
    """How to look for the right that is missing: `User "x" cannot VERB resource "R" …`."""
    found = re.search(
        r'cannot (?P<verb>\w+) resource "(?P<what>[^"]+)"(?: in API group "(?P<group>[^"]*)")?'
        r'(?:.* in the namespace "(?P<space>[^"]+)")?',
        told,
    )
    if found is None:
        return "log in again, or ask for the rights that are named"
    what = f"{found['what']}.{found['group']}" if found["group"] else found["what"]
    where = f" -n {found['space']}" if found["space"] else ""
    return f"ask for that right; `kubectl auth can-i {found['verb']} {what}{where}` tests it"


def _invalid(told: str, causes: Causes, place: str) -> OrchError:
    diagnostics = [
        Diagnostic(str(cause.get("message", "")), (place, *_keys(str(cause.get("field", "")))))
        for cause in causes
    ]
    fault = Invalid(f"the cluster refuses it: {told}", place=place, diagnostics=diagnostics)
    fault.immutable = any(words in told for words in _IMMUTABLE)
    return fault


_BY_STATUS: Mapping[int, Callable[[str, Causes, str], OrchError]] = {
    HTTPStatus.UNAUTHORIZED: _unknown,
    HTTPStatus.FORBIDDEN: _forbidden,
    HTTPStatus.NOT_FOUND: _missing,
    HTTPStatus.CONFLICT: _conflict,
    HTTPStatus.GONE: _expired,
    HTTPStatus.UNPROCESSABLE_ENTITY: _invalid,
}


def _keys(field: str) -> FieldPath:
    parts = (part for part in re.split(r"[.\[\]]+", field) if part)
    return tuple(int(part) if part.isdigit() else part for part in parts)


# -- connections -----------------------------------------------------------------------------------


def broken(fault: BaseException, place: str) -> OrchError:
    """A fault of the connection as ours."""
    text = str(fault)
    if "CERTIFICATE_VERIFY_FAILED" in text or "SSL" in type(fault).__name__ + text[:40]:
        return Unreachable(
            f"the cluster's certificate is not trusted: {_brief(text)}",
            place=place,
            mend="name the right certificate-authority in the kubeconfig",
        )
    return Unreachable(
        f"the cluster does not answer: {_reason(fault)}",
        place=place,
        mend="see `kubectl cluster-info`",
    )


def _reason(fault: BaseException) -> str:
    """The cause that urllib3 hands on as an argument, else the innermost one."""
    last = fault.args[-1] if fault.args else None
    return _reason(last) if isinstance(last, BaseException) else innermost(fault)


def is_lost(fault: BaseException | None) -> bool:
    """Whether a connection was refused or torn down, as while the API is started anew."""
    while fault is not None:
        if isinstance(fault, ConnectionError):
            return True
        fault = fault.__cause__ or fault.__context__
    return False


def _brief(text: str) -> str:
    """The last cause of what urllib3 wraps again and again."""
    return text.rpartition("(Caused by ")[2].rstrip(")") or text
