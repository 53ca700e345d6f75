"""Clips with a mask a frame, read as a split."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from offramp.core.errors import DataFault, UnknownName
from offramp.data.clips import load_av, read_frame
from offramp.data.dataset import Dataset

FRAMES = 6


def write_video(file: Path, greys: list[int]) -> None:
    """Write frames of one grey each, large steps apart."""
    av = load_av()
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for grey in greys:
            picture = np.full((48, 64, 3), grey, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """A data set whose one clip has frames of rising grey and masks of rising label."""
    write_video(tmp_path / "clip.mp4", [30 * t for t in range(FRAMES)])
    masks = np.arange(FRAMES, dtype=np.uint8)[:, None, None] % 2
    np.savez_compressed(tmp_path / "masks.npz", masks=np.broadcast_to(masks, (FRAMES, 48, 64)))
    content = {
        "names": {0: "a", 1: "b"},
        "videos": {"ramp": {"video": "clip.mp4", "masks": "masks.npz"}},
    }
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(content))
    return Dataset.open(tmp_path)


def test_every_frame_is_a_sample_of_its_clip(data: Dataset) -> None:
    samples = data.samples("ramp")
    assert [s.name for s in samples] == [f"ramp/{t:05d}" for t in range(FRAMES)]
    assert {(s.clip, s.group) for s in samples} == {("ramp", "ramp")}


def test_frames_come_with_their_masks_in_any_order(data: Dataset) -> None:
    samples = data.samples("ramp")
    for t in (0, 1, 2, 4, 3, 3, 5, 0):
        image, mask = data.read(samples[t])
        assert image.shape == (48, 64, 3)
        assert abs(float(image.mean()) - 30 * t) < 4
        assert (mask == t % 2).all()


def test_a_frame_behind_the_end_is_refused_by_the_file_s_name(data: Dataset) -> None:
    with pytest.raises(DataFault, match=r"clip\.mp4: there is no frame 6"):
        read_frame(data.root / "clip.mp4" / "00006")


def test_a_clip_that_there_is_not_is_offered_its_neighbour(data: Dataset) -> None:
    with pytest.raises(UnknownName, match="did you mean 'ramp'"):
        data.samples("rump")


@pytest.mark.parametrize("content", [b"", b"no zip"])
def test_masks_that_cannot_be_read_are_refused(data: Dataset, content: bytes) -> None:
    (data.root / "masks.npz").write_bytes(content)
    with pytest.raises(DataFault, match=r"masks\.npz holds no masks"):
        data.samples("ramp")


def test_a_video_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.mp4").write_bytes(b"nothing")
    with pytest.raises(DataFault, match=r"none\.mp4 cannot be read as a video"):
        read_frame(tmp_path / "none.mp4" / "00000")
