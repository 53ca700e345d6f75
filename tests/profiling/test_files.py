"""The example of docs/trace.md: somebody's own numbers, written down and searched."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "trace.md"


def test_the_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block, str(PAGE), "exec"), names)
    assert {file.name for file in tmp_path.iterdir()} == {"trace.npz", "costs.json"}
    # a.png may stop at the stem, where it loses little; b.png must not.
    macs = (29_000_000 + 209_000_000) / 2
    assert capsys.readouterr().out.startswith(f"{macs}")
    assert names["table"].memory_of([("stem", "r1-b0-fcn")]) == 4 * 15_000 + 5_000_000  # type: ignore[attr-defined]
