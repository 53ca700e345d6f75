"""What is known before training, against IOT's own tables 4.5, 4.11 and 4.14."""

import pytest

from offramp.core.model import ModelSpec
from offramp.tuning.evidence import gather

# a, t, r, pp, parameters, input MB, forward MB, millions of MACs; 512x512, one class.
TABLE_4_11 = (
    (1.0, 6, 3, True, 1_122_673, 3.15, 209.88, 830.67),
    (0.75, 6, 3, True, 644_917, 3.15, 157.42, 485.61),
    (0.5, 6, 3, True, 298_553, 3.15, 104.96, 232.14),
    (0.25, 6, 3, True, 83_581, 3.15, 52.49, 70.27),
    (0.125, 6, 3, True, 25_367, 3.15, 26.26, 23.69),
    (0.75, 4, 3, True, 450_757, 3.15, 134.61, 396.21),
    (0.5, 4, 3, True, 208_793, 3.15, 89.75, 191.35),
    (0.25, 4, 3, True, 58_541, 3.15, 44.89, 59.28),
    (0.125, 4, 3, True, 17_807, 3.15, 22.46, 20.54),
    (0.75, 2, 3, True, 256_597, 3.15, 111.8, 306.81),
    (0.5, 2, 3, True, 119_033, 3.15, 74.55, 150.56),
    (0.25, 2, 3, True, 33_501, 3.15, 37.29, 48.29),
    (0.125, 2, 3, True, 10_247, 3.15, 18.66, 17.4),
)
TABLE_4_14 = (
    (1.0, 6, 3, True, 1_122_673, 3.15, 209.88, 830.67),
    (1.0, 6, 3, False, 1_122_673, 3.15, 200.97, 826.65),
    (1.0, 6, 2, True, 743_281, 3.15, 184.32, 695.05),
    (1.0, 6, 2, False, 743_281, 3.15, 175.41, 691.03),
    (1.0, 6, 1, True, 363_889, 3.15, 158.76, 559.43),
    (1.0, 6, 1, False, 363_889, 3.15, 149.85, 555.41),
)


def spec(width: float, expansion: int, repetition: int, pyramid: bool) -> ModelSpec:
    knobs = {
        "width": width,
        "expansion": expansion,
        "repetition": repetition,
        "pyramid": pyramid,
    }
    return ModelSpec(name="fastscnn", names=("package",), size=(512, 512), knobs=knobs)


@pytest.mark.parametrize("row", [*TABLE_4_11, *TABLE_4_14])
def test_iots_model_summaries(row) -> None:
    width, expansion, repetition, pyramid, parameters, input_mb, forward_mb, macs = row
    found = gather(spec(width, expansion, repetition, pyramid))
    assert found.input_mb == pytest.approx(input_mb, abs=0.005)
    if pyramid:
        assert found.parameters == parameters
        assert found.macs / 1e6 == pytest.approx(macs, rel=0.01)
        assert found.forward_mb == pytest.approx(forward_mb, rel=0.001)
    else:
        # IOT goes on counting the pyramid's parameters; without it they are not there. Its
        # MACs drop by 4.02 M, ours by all that the pyramid does.
        merging = 256 * 128 + 2 * 128
        assert found.parameters == parameters - 128 * 32 - merging
        assert found.macs / 1e6 == pytest.approx(macs, rel=0.0105)


def test_a_smaller_input_changes_what_flows_and_not_what_is_kept() -> None:
    names = ("package",)
    whole, half = (
        gather(ModelSpec(name="fastscnn", names=names, size=(side, side))) for side in (512, 256)
    )
    assert half.parameters == whole.parameters
    assert half.input_mb == whole.input_mb / 4
    # Table 4.5 has 50.24 MB without the pyramid, whose maps do not shrink with the input.
    plain = gather(
        ModelSpec(name="fastscnn", names=names, size=(256, 256), knobs={"pyramid": False})
    )
    assert 4 * plain.forward_mb == pytest.approx(209.354752)


def test_luma_is_a_third_of_the_input() -> None:
    knobs = {"channels": 1}
    found = gather(ModelSpec(name="fastscnn", names=("a",), size=(64, 64), knobs=knobs))
    assert found.input_mb == 64 * 64 * 4 / 1e6
