"""The configuration: a file, the command line over it, and what a reload takes over."""

from pathlib import Path

import pytest

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput, UnknownName
from offramp.serve.configuration import Configuration, parse_camera, read_configuration
from offramp.serve.service import Service
from tests.serve.conftest import Stage, serve

TEXT = """
bundle: factory.offramp
port: 9000
tokens: secrets/tokens
cameras:
  - {name: hall, address: "rtsp://${CAM_USER}:${CAM_PASS}@10.0.0.5/x", min_miou: 0.5}
allow: [10.0.0.0/24, cam.example.org]
limits: {body_mb: 5, concurrent: 2}
"""


def written(tmp_path: Path, text: str = TEXT) -> Path:
    file = tmp_path / "serve.yaml"
    file.write_text(text)
    return file


def test_the_command_line_goes_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAM_USER", "me")
    monkeypatch.setenv("CAM_PASS", "hunter22")
    given = {"port": 1, "cameras": [parse_camera("line=synthetic:64x48@5?seed=1")]}
    read = read_configuration(written(tmp_path), given)
    assert read.bundle == tmp_path / "factory.offramp"
    assert read.tokens == tmp_path / "secrets/tokens"
    assert (read.port, read.host, read.model) == (1, "127.0.0.1", "factory")
    assert read.limits.concurrent == 2
    assert [camera.name for camera in read.cameras] == ["hall", "line"]
    assert read.cameras[0].address.secret == "rtsp://me:hunter22@10.0.0.5/x"
    assert "hunter22" not in repr(read)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port: 80", "no bundle"),
        ("- 1", "not a configuration"),
        ("1: 2", "not a configuration"),
        ("{", "not YAML"),
        ("bundle: x\nprot: 80", "did you mean 'port'"),
        ("bundle: x\nport: 70000", "port"),
        ("bundle: x\nengine: warp", "no engine 'warp'"),
        ("bundle: x\ncameras: 3", "'cameras'"),
        ("bundle: x\ncameras: [{name: a, address: /x}, {name: a, address: /y}]", "named 'a'"),
        ("bundle: x\ncameras: [{name: a, address: '${NOT_SET}'}]", "no variable 'NOT_SET'"),
        ("bundle: x\ncertificate: c.pem", "TLS takes both"),
        ("bundle: x\nallow: [10.0.0.1/8]", "10.0.0.1/8"),
        ("bundle: x\nlimits: {body: 3}", "did you mean 'body_mb'"),
    ],
)
def test_a_faulty_file_says_where(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_configuration(written(tmp_path, text), {})


@pytest.mark.parametrize(
    "camera",
    [
        "{address: 'rtsp://me:hunter22@10.0.0.5/x'}",
        "{name: a, address: 'rtsp://me:hunter22@10.0.0.5:x/x'}",
        "{name: a, address: 'rtsp://me:hunter22@10.0.0.5/x', wait: 3}",
        "'rtsp://me:hunter22@10.0.0.5/x'",
    ],
)
def test_a_faulty_camera_is_told_without_its_password(tmp_path: Path, camera: str) -> None:
    with pytest.raises(BadInput, match="not a camera") as error:
        read_configuration(written(tmp_path, f"bundle: x\ncameras: [{camera}]"), {})
    assert "hunter22" not in str(error.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_configuration(tmp_path / "none.yaml", {})


@pytest.mark.parametrize("text", ["line", "=x", "line="])
def test_a_camera_of_the_command_line_has_a_name_and_an_address(text: str) -> None:
    with pytest.raises(BadInput, match="NAME=ADDRESS"):
        parse_camera(text)


@pytest.mark.parametrize(
    ("host", "tokens", "insecure", "allowed"),
    [
        ("127.0.0.1", 0, False, True),
        ("::1", 0, False, True),
        ("0.0.0.0", 0, False, False),
        ("192.0.2.1", 0, False, False),
        ("0.0.0.0", 1, False, True),
        ("0.0.0.0", 0, True, True),
    ],
)
def test_the_network_is_let_in_with_a_token_or_on_purpose(
    host: str, tokens: int, insecure: bool, allowed: bool
) -> None:
    configuration = Configuration(bundle=Path("x"), host=host, insecure=insecure)
    if allowed:
        configuration.check_exposure(tokens)
    else:
        with pytest.raises(BadInput, match="--insecure"):
            configuration.check_exposure(tokens)


def camera(name: str, **keys: object) -> dict[str, object]:
    return {"name": name, "address": f"rtsp://192.0.2.1/{name}", **keys}


@pytest.fixture
def reloadable(bundle: Bundle, stage: Stage) -> tuple[Service, list[dict[str, object]]]:
    """A service whose configuration is read from a list of cameras and other keys."""
    keys: list[dict[str, object]] = [{"cameras": [camera("a"), camera("b")]}]

    def read() -> Configuration:
        return read_configuration(None, {"bundle": bundle.folder, **keys[0]})

    service = serve(read(), bundle, stage)
    service._reread = read
    return service, keys


def names(service: Service) -> list[str]:
    return [watched.spec.name for watched in service.backend.cameras()]


def test_a_reload_takes_cameras_over(
    reloadable: tuple[Service, list[dict[str, object]]], stage: Stage
) -> None:
    service, keys = reloadable
    service.start()
    try:
        first = dict(stage.cameras)
        service.add(service.configuration.cameras[0].model_copy(update={"name": "guest"}))
        keys[0] = {"cameras": [camera("b", weight=2), camera("c")], "allow": ["192.0.2.0/24"]}
        assert service.reload() == {"added": ["c"], "changed": ["b"], "removed": ["a"]}
        assert sorted(names(service)) == ["b", "c", "guest"]
        assert first["a"].stopped
        assert first["b"].stopped
        assert stage.cameras["b"].spec.weight == 2
        assert service.configuration.allow == ("192.0.2.0/24",)
        assert service.reload() == {"added": [], "changed": [], "removed": []}
        service.remove("c")
        assert service.reload()["added"] == ["c"]  # it is still configured
    finally:
        service.stop()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bundle": "other"}, "'bundle' changed"),
        ({"port": 9}, "'port' changed"),
        ({"limits": {"concurrent": 1}}, "'limits' changed"),
        ({"cameras": [camera("guest")]}, "'guest' was added over HTTP"),
    ],
)
def test_a_reload_that_cannot_be_done_changes_nothing(
    reloadable: tuple[Service, list[dict[str, object]]], change: dict[str, object], said: str
) -> None:
    service, keys = reloadable
    service.start()
    try:
        service.add(service.configuration.cameras[0].model_copy(update={"name": "guest"}))
        keys[0] = {**keys[0], **change}
        with pytest.raises(BadInput, match=said):
            service.reload()
        assert sorted(names(service)) == ["a", "b", "guest"]
    finally:
        service.stop()


def test_an_unknown_engine_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownName):
        read_configuration(None, {"bundle": tmp_path, "engine": "warp"})


def test_names_of_models_are_made_of_folders() -> None:
    for folder, name in (("a b.offramp", "a-b"), ("x.offramp", "x"), ("räume", "r-ume")):
        assert Configuration(bundle=Path(folder)).model == name


def test_monitoring_is_told_in_whole(tmp_path: Path) -> None:
    told = {"bundle": tmp_path, "shadow": 0.1, "max_disagreement": 0.05, "keep_frames": tmp_path}
    assert read_configuration(None, told).max_disagreement == 0.05
    for missing, word in (
        ("shadow", "max_disagreement needs"),
        ("max_disagreement", "keep_frames"),
    ):
        rest = {key: value for key, value in told.items() if key != missing}
        with pytest.raises(BadInput, match=word):
            read_configuration(None, rest)
