"""Running over images, folders and videos: every frame is accounted for."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput, UnknownName
from offramp.data.dataset import Dataset
from offramp.data.images import read_mask
from offramp.runtime.session import Session
from offramp.video.run import run
from offramp.video.sinks import Movie
from offramp.video.sources import VideoFile, open_source


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> Session:
    return Session(bundle)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of 30 frames, 96×64, in which a square moves."""
    file = tmp_path / "clip.mp4"
    movie = Movie(file, 10.0)
    for number in range(30):
        picture = np.full((64, 96, 3), 40, dtype=np.uint8)
        picture[20:40, number : number + 20] = (200, 60, 30)
        movie.write(picture)
    movie.close()
    return file


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_frame_of_a_video_gets_a_line_a_mask_and_a_picture(
    session: Session, clip: Path, tmp_path: Path
) -> None:
    tally = run(session, [open_source(str(clip))], tmp_path / "out")
    assert (tally.frames, tally.unreadable) == (30, 0)
    assert sum(tally.taken.values()) == 30
    out = tmp_path / "out" / "clip"
    assert [line["frame"] for line in lines(out / "results.jsonl")] == [
        f"{n:06d}" for n in range(30)
    ]
    assert len(list((out / "masks").iterdir())) == 30
    overlay = VideoFile(out / "overlay.mp4")
    assert sum(frame.image is not None for frame in overlay.frames()) == 30


def test_a_mask_on_disk_is_the_sessions_answer(
    session: Session, dataset: Dataset, tmp_path: Path
) -> None:
    sample = dataset.samples("test")[0]
    run(session, [open_source(str(sample.image))], tmp_path)
    image, _ = dataset.read(sample)
    written = read_mask(tmp_path / sample.image.stem / "masks" / f"{sample.image.stem}.png")
    assert np.array_equal(written, session.segment(image).labels)


def test_a_broken_image_is_counted_and_the_run_goes_on(session: Session, tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for name in ("a", "c"):
        Image.new("RGB", (96, 64), (9, 99, 9)).save(folder / f"{name}.png")
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:40])
    tally = run(session, [open_source(str(folder))], tmp_path / "out")
    assert (tally.frames, tally.unreadable) == (2, 1)
    middle = lines(tmp_path / "out" / "shots" / "results.jsonl")[1]
    assert middle["frame"] == "b"
    assert "b.png" in str(middle["fault"])


def test_a_video_cut_short_keeps_what_could_be_read(
    session: Session, clip: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.avi"
    _as_avi(clip, cut)
    content = cut.read_bytes()
    cut.write_bytes(content[: len(content) * 6 // 10])
    tally = run(session, [open_source(str(cut))], tmp_path / "out")
    assert 0 < tally.frames < 30
    assert tally.unreadable >= 1
    out = tmp_path / "out" / "cut"
    assert sum("exit" in line for line in lines(out / "results.jsonl")) == tally.frames
    assert sum(f.image is not None for f in VideoFile(out / "overlay.mp4").frames()) == tally.frames


def test_an_interrupt_leaves_lines_and_a_video_that_plays(
    session: Session, clip: Path, tmp_path: Path
) -> None:
    def interrupted(items, total, label):  # type: ignore[no-untyped-def]
        for number, item in enumerate(items):
            if number == 12:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        run(session, [open_source(str(clip))], tmp_path / "out", track=interrupted)
    out = tmp_path / "out" / "clip"
    assert len(lines(out / "results.jsonl")) == 12
    assert sum(f.image is not None for f in VideoFile(out / "overlay.mp4").frames()) == 12
    assert not list(out.glob(".*partial*"))


def test_a_generous_deadline_changes_no_answer(
    session: Session, clip: Path, tmp_path: Path
) -> None:
    free = run(session, [open_source(str(clip))], tmp_path / "a", save=["jsonl"])
    tally = run(
        session, [open_source(str(clip))], tmp_path / "b", save=["jsonl"], deadline_ms=60_000
    )
    assert tally.taken == free.taken
    assert tally.late == 0


def test_a_deadline_that_fits_nothing_still_gets_the_first_answer(
    session: Session, clip: Path, tmp_path: Path
) -> None:
    tally = run(session, [open_source(str(clip))], tmp_path, save=["jsonl"], deadline_ms=0)
    assert dict(tally.taken) == {session.points[0]: 30}
    assert tally.late == 30


def test_a_video_of_images_is_refused_aloud(
    session: Session, dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = open_source(str(dataset.samples("test")[0].image))
    run(session, [source], tmp_path, save=["video"])
    assert "no overlay video" in caplog.text


def test_sources_of_the_same_name_do_not_overwrite_each_other(
    session: Session, tmp_path: Path
) -> None:
    files = [tmp_path / side / "shot.png" for side in ("left", "right")]
    for file in files:
        file.parent.mkdir()
        Image.new("RGB", (96, 64)).save(file)
    run(session, [open_source(str(file)) for file in files], tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["shot", "shot-2"]


def test_unknown_outputs_and_sources_are_refused(session: Session, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'masks'"):
        run(session, [], tmp_path, save=["mask"])
    with pytest.raises(BadInput, match="does not exist"):
        open_source(str(tmp_path / "nothing.mp4"))
    (tmp_path / "notes.txt").write_text("no frames here")
    with pytest.raises(BadInput, match="is no source"):
        open_source(str(tmp_path / "notes.txt"))
    (tmp_path / "fake.mp4").write_bytes(b"#EXTM3U\nhttp://127.0.0.1:9/x.ts\n")
    with pytest.raises(BadInput, match="cannot be opened as a video"):
        open_source(str(tmp_path / "fake.mp4"))


def _as_avi(source: Path, target: Path) -> None:
    """Write the frames of a video as MJPEG AVI, whose header promises a number of frames."""
    import av

    with av.open(str(target), "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for frame in VideoFile(source).frames():
            assert frame.image is not None
            picture = av.VideoFrame.from_ndarray(frame.image, format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
