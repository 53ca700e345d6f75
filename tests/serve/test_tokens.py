"""Tokens: read from files and the environment, compared by hash, never shown."""

import hashlib
from pathlib import Path

import pytest

from offramp.core.errors import BadInput
from offramp.serve.tokens import read_tokens

SECRET = "0123456789abcdef"


def test_tokens_come_from_both_places(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    digest = hashlib.sha256(b"another long secret").hexdigest()
    file.write_text(f"# who\n\nviewer:hall:sha256:{digest}\nadmin:me:{SECRET}:with:colons\n")
    tokens = read_tokens(file, {"OFFRAMP_TOKENS": "operator:line:ffffffffffffffff"})
    assert len(tokens) == 3
    for secret, name, role in (
        ("another long secret", "hall", "viewer"),
        (f"{SECRET}:with:colons", "me", "admin"),
        ("f" * 16, "line", "operator"),
    ):
        identity = tokens.of(secret)
        assert identity is not None
        assert (identity.name, identity.role) == (name, role)
    for wrong in ("", digest, SECRET, "another long secret "):
        assert tokens.of(wrong) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("root:me:" + SECRET, "not a token"),
        ("anyone:me:" + SECRET, "not a token"),
        (SECRET, "not a token"),
        ("admin::" + SECRET, "not a token"),
        ("admin:a b:" + SECRET, "not a token"),
        ("admin:me:short-pass", "too short"),
        ("admin:me:sha256:abc", "not a SHA-256"),
        (f"admin:me:{SECRET}\nviewer:you:{SECRET}", "same secret"),
        ("# nothing", "holds no token"),
    ],
)
def test_a_faulty_token_is_named_and_not_shown(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(line)
    with pytest.raises(BadInput, match=said) as error:
        read_tokens(file, {})
    assert SECRET not in str(error.value)
    assert "short-pass" not in str(error.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_tokens(tmp_path / "none", {})
