"""Secret values at rest: AES-GCM under a key that only the owner of the state can read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orch.errors import OrchError

if TYPE_CHECKING:
    from pathlib import Path

_NONCE = 12
_KEY_BITS = 256


class Vault:
    """Seals and opens values. What a value is for is sealed with it, so none can be moved."""

    def __init__(self, key_file: Path) -> None:
        self._cipher = AESGCM(_key(key_file))
        self._file = key_file

    def seal(self, value: bytes, purpose: str) -> bytes:
        """A nonce and the ciphertext."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, value, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Raises OrchError when the key is not the one that sealed it."""
        try:
            nonce, data = sealed[:_NONCE], sealed[_NONCE:]
            return self._cipher.decrypt(nonce, data, purpose.encode())
        except InvalidTag:
            raise OrchError(
                "a stored secret can't be opened with this key",
                place=str(self._file),
                mend="put the right key file back, or deploy again to store the secrets anew",
            ) from None


def _key(path: Path) -> bytes:
    """The key, made on first use; a half-written one can't be left behind."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    key = AESGCM.generate_key(_KEY_BITS)
    draft = path.with_suffix(".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, key)
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.rename(path)
    return key
