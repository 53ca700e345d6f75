"""Tokens: secrets that say who asks, and which role that one has.

A token is written `ROLE:NAME:SECRET`, one a line in a file, or separated by blanks in the variable
`OFFRAMP_TOKENS`. SECRET is the secret itself, or `sha256:` and its SHA-256 in hexadecimal digits,
so that a file need not hold what opens the door. In memory there are only hashes. Secrets are long
random texts, not passwords; so a plain hash is as hard to turn back as a slow one.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from offramp.core.errors import BadInput

Role = Literal["anyone", "viewer", "operator", "admin"]
"""Who may do something: everyone; who may look; who may infer and pause; who may do all."""

ROLES: tuple[Role, ...] = get_args(Role)
VARIABLE = "OFFRAMP_TOKENS"
SHORTEST = 16
"""Characters of a secret, at least."""


@dataclass(frozen=True)
class Identity:
    """Who asks.

    Attributes:
        name: for the log.
        role: what that one may do.
        digest: SHA-256 of the secret; empty where none was needed.
    """

    name: str
    role: Role
    digest: bytes = b""

    def may(self, role: Role) -> bool:
        """Tell whether this one may do what `role` may."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Tokens:
    """The tokens of a server.

    Args:
        identities: whom they stand for.
    """

    def __init__(self, identities: Iterable[Identity] = ()) -> None:
        self._identities = tuple(identities)

    def __len__(self) -> int:
        return len(self._identities)

    def of(self, secret: str) -> Identity | None:
        """Tell whose secret this is; all are compared, each in constant time."""
        return self.holds(hashlib.sha256(secret.encode()).digest())

    def holds(self, digest: bytes) -> Identity | None:
        """Tell whose secret has this SHA-256."""
        found = None
        for identity in self._identities:
            if hmac.compare_digest(identity.digest, digest):
                found = identity
        return found


def read_tokens(file: Path | None, environment: Mapping[str, str] = os.environ) -> Tokens:
    """Read the tokens of a file and of the environment.

    Raises:
        BadInput: the file cannot be read, or a token is not usable. No message holds a secret.
    """
    entries = [(f"{VARIABLE}, entry {number}", entry) for number, entry in _given(environment)]
    if file is not None:
        entries += [(f"{file}, line {number}", entry) for number, entry in _lines(file)]
    identities = [_identity(where, entry) for where, entry in entries]
    if file is not None and not identities:
        raise BadInput(f"{file} holds no token", expected="lines ROLE:NAME:SECRET")
    if len({identity.digest for identity in identities}) < len(identities):
        raise BadInput("two tokens have the same secret", repair="give each a secret of its own")
    return Tokens(identities)


def _given(environment: Mapping[str, str]) -> list[tuple[int, str]]:
    return list(enumerate(environment.get(VARIABLE, "").split(), start=1))


def _lines(file: Path) -> list[tuple[int, str]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadInput(f"the tokens {file} cannot be read", got=str(reason)) from None
    numbered = ((number, line.strip()) for number, line in enumerate(lines, start=1))
    return [(number, line) for number, line in numbered if line and not line.startswith("#")]


def _identity(where: str, entry: str) -> Identity:
    role, _, rest = entry.partition(":")
    name, _, secret = rest.partition(":")
    known = {each: each for each in ROLES if each != "anyone"}
    if role not in known or not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
        raise BadInput(
            f"{where} is not a token",
            expected="ROLE:NAME:SECRET, ROLE one of " + ", ".join(known),
        )
    if secret.startswith("sha256:"):
        digits = secret.removeprefix("sha256:")
        if not re.fullmatch(r"[0-9a-fA-F]{64}", digits):
            raise BadInput(f"{where}: not a SHA-256", expected="64 hexadecimal digits")
        return Identity(name, known[role], bytes.fromhex(digits))
    if len(secret) < SHORTEST:
        raise BadInput(
            f"{where}: the secret of '{name}' is too short",
            expected=f"{SHORTEST} characters or more",
            repair="make one: openssl rand -hex 32",
        )
    return Identity(name, known[role], hashlib.sha256(secret.encode()).digest())
