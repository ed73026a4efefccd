"""Configs and secrets: they arrive, they rotate, and values are seen nowhere else."""

from __future__ import annotations

import gzip
import json
import zlib
from base64 import b64encode
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import Refused, UsageFault
from orch.plan.file import save_plan
from orch.testing.conformance.changes import FAILS, HOLDS
from orch.testing.conformance.trial import Cases, Trial, needs
from orch.types import Operation, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CANARY = "canary-7f3d91c4"
EVERY_BYTE = bytes(range(256)) + CANARY.encode()
SHOW_FILE = 'cat "${ORCH_SECRETS_DIR:-/run/secrets}/token"'
SHOW_DIGEST = f"{SHOW_FILE} | sha256sum"


class SecrecyCases(Cases):
    """Files and values that are handed to what runs."""

    def _document(self, trial: Trial, encoding: str = "utf-8", **web: Any) -> dict[str, Any]:
        service = {**trial.web_service("one"), **web}
        return {
            "services": {"web": service},
            "secrets": {"token": {"provider": "env", "key": "TOKEN", "encoding": encoding}},
        }

    def test_a_changed_config_is_shown_and_replaces_replicas(self, trial: Trial) -> None:
        def document(text: str) -> dict[str, Any]:
            web = trial.web_service("one")
            web["configs"] = [{"source": "page", "target": "page.txt"}]
            return {"services": {"web": web}, "configs": {"page": {"content": text}}}

        trial.deployed(document("first\n"))
        before = {replica.id for replica in trial.service().replicas}
        pending = trial.plan(document("second\n")).plan.pending
        assert "service/web" in {action.id for action in pending}
        changes = [change for action in pending for change in action.changes]
        assert any("second" in str(change.new) for change in changes) or any(
            action.operation is Operation.CREATE for action in pending
        )
        trial.deployed(document("second\n"))
        ready = {replica.id for replica in trial.service().replicas if replica.ready}
        assert ready
        assert before.isdisjoint(ready)
        assert trial.pending(document("second\n")) == []

    @needs("exec")
    def test_a_secret_arrives_as_a_file_and_rotates(self, trial: Trial) -> None:
        mounts = [{"source": "token", "target": "token"}]
        document = self._document(trial, secrets=mounts)
        trial.secrets.values["token"] = f"{CANARY}-one"
        trial.deployed(document)
        assert self._holds(trial, SHOW_FILE, f"{CANARY}-one")
        assert trial.pending(document) == []
        trial.secrets.values["token"] = f"{CANARY}-two"
        assert "service/web" in {id_ for _, id_ in trial.pending(document)}
        trial.deployed(document)
        assert self._holds(trial, SHOW_FILE, f"{CANARY}-two")

    @needs("exec")
    def test_a_secret_that_is_no_text_arrives_to_the_byte(self, trial: Trial) -> None:
        mounts = [{"source": "token", "target": "token"}]
        trial.secrets.values["token"] = EVERY_BYTE
        trial.deployed(self._document(trial, secrets=mounts))
        assert self._holds(trial, SHOW_DIGEST, f"{sha256(EVERY_BYTE).hexdigest()}  -")
        assert trial.pending(self._document(trial, secrets=mounts)) == []
        turned = EVERY_BYTE[::-1]
        trial.secrets.values["token"] = b64encode(turned).decode()
        trial.deployed(self._document(trial, "base64", secrets=mounts))
        assert self._holds(trial, SHOW_DIGEST, f"{sha256(turned).hexdigest()}  -")

    def test_a_secret_that_is_no_text_is_refused_as_a_variable(self, trial: Trial) -> None:
        service = trial.web_service("one")
        variables = {**service["environment"], "TOKEN": {"secret": "token"}}
        trial.secrets.values["token"] = EVERY_BYTE
        with pytest.raises((Refused, UsageFault), match=r"services\.web\.environment\.TOKEN"):
            trial.plan(self._document(trial, environment=variables))

    @needs("exec", "secret-variables")
    def test_a_secret_arrives_as_a_variable(self, trial: Trial) -> None:
        service = trial.web_service("one")
        service["environment"] = {**service["environment"], "TOKEN": {"secret": "token"}}
        trial.secrets.values["token"] = CANARY
        trial.deployed(self._document(trial, environment=service["environment"]))
        assert self._holds(trial, 'printf %s "$TOKEN"', CANARY)

    @needs("exec", "secret-versions")
    def test_a_rollback_brings_the_earlier_secret_back(self, trial: Trial) -> None:
        document = self._document(trial, secrets=[{"source": "token", "target": "token"}])
        for value in ("one", "two", "three"):
            trial.secrets.values["token"] = f"{CANARY}-{value}"
            trial.deployed(document)
        outcome = trial.run(trial.session().rollback_plan(1))
        assert outcome.verdict is Verdict.DONE, f"{outcome}\n{trial.told()}"
        assert self._holds(trial, SHOW_FILE, f"{CANARY}-one")
        assert "service/web" in {id_ for _, id_ in trial.pending(document)}
        trial.deployed(document)
        assert self._holds(trial, SHOW_FILE, f"{CANARY}-three")

    @needs("exec", "secret-versions")
    def test_a_failed_deploy_takes_its_secret_back(self, trial: Trial) -> None:
        mounts = [{"source": "token", "target": "token"}]
        document = self._document(trial, secrets=mounts, **trial.web_service("good", **HOLDS))
        trial.secrets.values["token"] = f"{CANARY}-one"
        trial.deployed(document)
        trial.secrets.values["token"] = f"{CANARY}-two"
        broken = trial.web_service("bad", ready=False, **FAILS)
        outcome = trial.deploy(self._document(trial, secrets=mounts, **broken))
        assert outcome.verdict is Verdict.ROLLED_BACK, f"{outcome}\n{trial.told()}"
        assert self._holds(trial, SHOW_FILE, f"{CANARY}-one")
        trial.secrets.values["token"] = f"{CANARY}-one"
        assert trial.pending(document) == [], "everything is as before, the secret too"

    @staticmethod
    def _holds(trial: Trial, script: str, wanted: str) -> bool:
        return trial.exec(f'test "$({script})" = "{wanted}"') == 0

    @pytest.mark.parametrize("value", [CANARY, EVERY_BYTE], ids=["text", "bytes"])
    def test_a_secret_value_is_in_nothing_that_is_shown_or_kept(
        self, trial: Trial, tmp_path: Path, value: str | bytes
    ) -> None:
        trial.secrets.values["token"] = value
        document = self._document(trial, secrets=[{"source": "token", "target": "token"}])
        planned = trial.plan(document)
        save_plan(planned.plan, tmp_path / "plan.json")
        trial.run(planned.plan)
        trial.secrets.values["token"] = f"{CANARY}-two"
        again = trial.plan(document)
        seen = {
            "the manifest": repr(planned.manifest),
            "the ledger": repr(list(planned.manifest.ledger)),
            "the plan": repr(planned.plan) + repr(again.plan),
            "the plan file": (tmp_path / "plan.json").read_text(),
            "the events": repr(trial.events),
            "the status": json.dumps(asdict(trial.status()), default=str),
            "what is observed": repr(trial.backend.observe(trial.instance, None)),
            "the releases": repr(trial.session().releases()),
            "the records": repr(list(_records(trial))),
        }
        coded = b64encode(value.encode() if isinstance(value, str) else value).decode()
        for spelling in (CANARY, coded.rstrip("=")[:-1]):
            assert not [where for where, text in seen.items() if spelling in text]


def _records(trial: Trial) -> Iterator[bytes]:
    """Every record of the instance, as it is and unpacked."""
    store = trial.backend.store(trial.instance)
    for name in store.names():
        data = store.read(name)
        yield data
        with suppress(OSError, EOFError, zlib.error):
            yield gzip.decompress(data)
