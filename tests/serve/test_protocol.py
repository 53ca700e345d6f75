"""The Open Inference Protocol, asked by an unmodified client of another project."""

import json
import zlib
from collections.abc import Iterator

import numpy as np
import pytest

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput
from offramp.data.images import Array
from offramp.runtime.session import Session
from offramp.serve.configuration import Configuration
from offramp.serve.tensors import read_question, unpacked
from offramp.serve.tokens import read_tokens
from tests.serve.conftest import SECRETS, TOKENS, Stage, client_of, live, serve

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
http = pytest.importorskip("tritonclient.http")

NAME = "tiny"
AS_OPERATOR = {"Authorization": f"Bearer {SECRETS['operator']}"}


@pytest.fixture(scope="module")
def client(bundle: Bundle) -> Iterator[object]:
    configuration = Configuration(bundle=bundle.folder, name=NAME)
    tokens = read_tokens(None, {"OFFRAMP_TOKENS": TOKENS})
    with live(serve(configuration, bundle, Stage(), tokens)) as server:
        triton = http.InferenceServerClient(server.address.removeprefix("http://"))
        yield triton
        triton.close()


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> Session:
    return Session(bundle, threads=1)


def asked(frame: Array, raw: bool = True, batch: bool = False) -> list[object]:
    given = frame[None] if batch else frame
    one = http.InferInput("frame", list(given.shape), "UINT8")
    one.set_data_from_numpy(given, binary_data=raw)
    return [one]


def test_the_client_finds_the_model(client: http.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(NAME, headers=AS_OPERATOR)
    assert client.is_model_ready(NAME, "1", headers=AS_OPERATOR)
    assert not client.is_model_ready("other", headers=AS_OPERATOR)
    assert not client.is_model_ready(NAME)  # without a token
    assert "binary_tensor_data" in client.get_server_metadata(headers=AS_OPERATOR)["extensions"]
    (entry,) = client.get_model_repository_index(headers=AS_OPERATOR)
    assert (entry["name"], entry["state"]) == (NAME, "READY")
    told = client.get_model_metadata(NAME, headers=AS_OPERATOR)
    assert told["inputs"] == [{"name": "frame", "datatype": "UINT8", "shape": [-1, -1, 3]}]
    assert [o["name"] for o in told["outputs"]] == ["labels", "exit", "scores"]
    config = client.get_model_config(NAME, "1", headers=AS_OPERATOR)
    assert config["input"][0]["data_type"] == "TYPE_UINT8"
    with pytest.raises(Exception, match="needs the role admin"):
        client.load_model(NAME, headers=AS_OPERATOR)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_the_answer_is_the_sessions(
    client: http.InferenceServerClient,
    session: Session,
    frames: list[Array],
    raw: bool,
    named: bool,
) -> None:
    for frame in frames[:4]:
        outputs = [
            http.InferRequestedOutput(name, binary_data=raw)
            for name in ("scores", "labels", "exit")
        ]
        answer = client.infer(
            NAME,
            asked(frame, raw, batch=named),
            outputs=outputs if named else None,
            request_id="q1",
            headers=dict(AS_OPERATOR),
        )
        expected = session.segment(frame)
        assert np.array_equal(answer.as_numpy("labels"), expected.labels)
        assert answer.as_numpy("labels").dtype == np.uint8
        assert answer.as_numpy("exit").tolist() == [expected.exit]
        np.testing.assert_allclose(answer.as_numpy("scores"), expected.scores, rtol=1e-6)
        told = answer.get_response()
        assert told["id"] == "q1"
        assert told["parameters"]["point"] == expected.point


def test_parameters_choose_the_exit_and_the_outputs(
    client: http.InferenceServerClient, session: Session, frames: list[Array]
) -> None:
    for index, expected in enumerate(session.refine(frames[0])):
        answer = client.infer(
            NAME,
            asked(frames[0]),
            outputs=[http.InferRequestedOutput("exit"), http.InferRequestedOutput("labels")],
            parameters={"exit": index, "deadline_ms": 20000},
            headers=dict(AS_OPERATOR),
        )
        assert answer.as_numpy("exit").tolist() == [index]
        assert np.array_equal(answer.as_numpy("labels"), expected.labels)
        assert answer.as_numpy("scores") is None


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_a_packed_request_is_the_same(
    client: http.InferenceServerClient, session: Session, frames: list[Array], packing: str
) -> None:
    answer = client.infer(
        NAME,
        asked(frames[0]),
        headers=dict(AS_OPERATOR),
        request_compression_algorithm=packing,
    )
    assert np.array_equal(answer.as_numpy("labels"), session.segment(frames[0]).labels)


def test_the_client_shows_why_it_was_refused(
    client: http.InferenceServerClient, frames: list[Array]
) -> None:
    with pytest.raises(Exception, match="a token"):
        client.infer(NAME, asked(frames[0]))
    with pytest.raises(Exception, match="there is no model 'other'"):
        client.infer("other", asked(frames[0]), headers=dict(AS_OPERATOR))
    with pytest.raises(Exception, match="there is no output 'depth'"):
        client.infer(
            NAME,
            asked(frames[0]),
            outputs=[http.InferRequestedOutput("depth")],
            headers=dict(AS_OPERATOR),
        )


TENSOR = {"name": "frame", "datatype": "UINT8", "shape": [1, 2, 3], "data": [0, 1, 2, 3, 4, 255]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "image"}, "no input 'image'"),
        ({"datatype": "FP32"}, "data type"),
        ({"shape": [2, 3]}, "shape"),
        ({"shape": [1, 2, 4]}, "shape"),
        ({"shape": [2, 1, 2, 3]}, "shape"),
        ({"shape": [-1, 2, 3]}, "shape"),
        ({"shape": [True, 2, 3]}, "shape"),
        ({"shape": "1x2x3"}, "shape"),
        ({"shape": [1, 3, 3]}, "9 numbers"),
        ({"shape": [1000, 1001, 3]}, "too large"),
        ({"data": [0, 1, 2, 3, 4, 256]}, "0 to 255"),
        ({"data": [0, 1, 2, 3, 4, -1]}, "0 to 255"),
        ({"data": [0, 1, 2, 3, 4, 1.5]}, "0 to 255"),
        ({"data": [0, 1, 2, 3, 4, "a"]}, "0 to 255"),
        ({"data": [[0, 1, 2], [3]]}, "6 numbers"),
        ({"data": None}, "6 numbers"),
        ({"parameters": {"binary_data_size": 7}}, "bytes of the frame"),
        ({"parameters": {"binary_data_size": 10**12}}, "bytes of the frame"),
        ({"parameters": {"shared_memory_region": "x"}}, "not supported"),
        ({"parameters": 3}, "JSON object"),
    ],
)
def test_a_frame_that_is_none_is_refused(change: dict[str, object], said: str) -> None:
    body = json.dumps({"inputs": [{**TENSOR, **change}]}).encode()
    with pytest.raises(BadInput, match=said):
        read_question(body, None, 1_000_000, 3)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"[]", "JSON object"),
        (b"[" * 100_000, "not JSON"),
        (b"{}", "one input"),
        (b'{"inputs": 3}', "list"),
        (b'{"inputs": [3]}', "list"),
        (b'{"id": 3, "inputs": [{}]}', "'id'"),
    ],
)
def test_a_request_that_is_none_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_question(body, None, 1_000_000, 3)


@pytest.mark.parametrize("json_bytes", [-1, 10**9])
def test_json_that_ends_elsewhere_is_refused(json_bytes: int) -> None:
    with pytest.raises(BadInput, match="ends behind"):
        read_question(b"{}", json_bytes, 1_000_000, 3)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"exit": 3}, "exit"),
        ({"exit": -1}, "exit"),
        ({"exit": "end"}, "exit"),
        ({"exit": True}, "exit"),
        ({"deadline_ms": 0}, "deadline"),
        ({"deadline_ms": "soon"}, "deadline"),
        ({"timeout": -5}, "deadline"),
    ],
)
def test_parameters_are_checked(parameters: dict[str, object], said: str) -> None:
    body = json.dumps({"inputs": [TENSOR], "parameters": parameters}).encode()
    with pytest.raises(BadInput, match=said):
        read_question(body, None, 1_000_000, 3)


def test_a_timeout_is_in_microseconds() -> None:
    body = json.dumps({"inputs": [TENSOR], "parameters": {"timeout": 250_000}}).encode()
    question = read_question(body, None, 1_000_000, 3)
    assert question.deadline_ms == 250
    assert question.image.tolist() == [[[0, 1, 2], [3, 4, 255]]]


def test_what_unpacks_to_too_much_is_refused_early() -> None:
    bomb = zlib.compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(BadInput, match="too large"):
        unpacked(bomb, "deflate", 1_000_000)
    assert unpacked(zlib.compress(b"abc"), "deflate", 3) == b"abc"
    for body, encoding in (
        (b"abc", "gzip"),
        (zlib.compress(b"abc" * 99)[:-5], "deflate"),
        (b"", "br"),
    ):
        with pytest.raises(BadInput):
            unpacked(body, encoding, 1000)


def test_a_model_is_not_loaded_over_http(bundle: Bundle) -> None:
    configuration = Configuration(bundle=bundle.folder, name=NAME)
    with client_of(serve(configuration, bundle, Stage())) as admin:
        for verb in ("load", "unload"):
            answer = admin.post(f"/v2/repository/models/{NAME}/{verb}", json={})
            assert answer.status_code == 403
            assert "operator" in answer.json()["error"]
