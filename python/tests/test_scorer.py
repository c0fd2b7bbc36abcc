"""A Scorer's batches answer what was asked, are checked as all are, and can be trained on."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
import wire
from fake_server import FakeServer, broken_off, ok, ok_json, problem

from logitcask import LogitcaskError, Scorer, TruncatedReply, _http
from logitcask.losses import kd_loss, reverse_kl, weighted

#: Prompts of 2 tokens, but for the last sequence.
SEQUENCES = [[5, 6, 7, 9], [8, 3], [1, 2, 3]]
PROMPTS = [2, 2, 1]
LISTS = [[[(6, 0.5), (4, 0.25)], [(7, 0.5)], [(9, 0.5), (1, 0.1)], []], [[(3, 0.9)], []]]
LISTS.append([[(2, 0.5)], [(3, 0.5)], []])


@pytest.fixture(autouse=True)
def no_delays(monkeypatch):
    monkeypatch.setattr(_http.time, "sleep", lambda _: None)


def reply(names=("teacher",), sequences=SEQUENCES, **changes):
    """As docs/http.md has it: layout plain, codec raw, no snapshot."""
    masks = [
        [first - 1 <= t < len(one) - 1 for t in range(len(one))]
        for one, first in zip(sequences, PROMPTS)
    ]
    columns = {
        "sample_id": pa.array(
            [wire.sample_id(*one) for one in zip(sequences, masks)], pa.binary(16)
        ),
        "meta": pa.array(["{}"] * len(sequences)),
        "tokens": pa.array(sequences, wire.not_null(pa.int32())),
        "mask": pa.array(masks, wire.not_null(pa.bool_())),
    }
    sets = []
    for name in names:
        counts = [[len(row) for row in one] for one in LISTS]
        ids = [[id_ for row in one for id_, _ in row] for one in LISTS]
        logprobs = [[np.log(p) for row in one for _, p in row] for one in LISTS]
        rest = [[1 - sum(p for _, p in row) for row in one] for one in LISTS]
        labels = [np.linspace(-1, -2, len(one)).astype(np.float16) for one in LISTS]
        columns |= {
            f"{name}_counts": pa.array(counts, wire.not_null(pa.uint32())),
            f"{name}_ids": pa.array(ids, wire.not_null(pa.uint32())),
            f"{name}_logprobs": pa.array(logprobs, wire.not_null(pa.float32())),
            f"{name}_rest": pa.array(rest, wire.not_null(pa.float32())),
            f"{name}_label_logprob": pa.array(labels, wire.not_null(pa.float16())),
        }
        (one,) = json.loads(wire.metadata()["logitcask.target_sets"])
        sets.append({**one, "name": name, "codec": "raw", "log_z": [], "step": None})
    place = dict.fromkeys(("snapshot", "plan", "epoch", "step", "rank", "world"))
    told = {"layout": "plain", "target_sets": json.dumps(sets), **place, **changes}
    return wire.stream(columns, **told)


def test_a_batch_of_rollouts_and_what_was_sent_for_it():
    with FakeServer(ok(reply())) as server, Scorer(server.url, token="secret") as scorer:
        rollouts = [torch.tensor(SEQUENCES[0]), np.array(SEQUENCES[1]), SEQUENCES[2]]
        meta = [{"i": i} for i in range(3)]
        batch = scorer.score(rollouts, torch.tensor(PROMPTS), meta, 2, ["teacher"])
        (request,) = server.requests
    assert request["path"] == "/v1/score?top_k=2&target_sets=teacher"
    assert request["headers"]["authorization"] == "Bearer secret"
    sent = pa.ipc.open_stream(request["body"]).read_all()
    assert sent["tokens"].to_pylist() == SEQUENCES and sent["tokens"].type == pa.list_(pa.int32())
    assert sent["prompt_length"].to_pylist() == PROMPTS
    assert [json.loads(one) for one in sent["meta"].to_pylist()] == meta
    assert batch.layout == "plain" and batch["tokens"].dtype == torch.int32
    assert batch["mask"].tolist() == [*[False, True, True, False], *[False] * 2, True, True, False]
    assert batch["teacher_offsets"].tolist() == [0, 2, 3, 5, 5, 6, 6, 7, 8, 8]
    torch.testing.assert_close(batch["teacher_probs"][:2], torch.tensor([0.5, 0.25]))
    logits = torch.randn(3, 4, wire.V, requires_grad=True)  # as padded as model_inputs
    assert batch.model_inputs()["input_ids"].shape == (3, 4)
    (kd_loss(logits, batch) + reverse_kl(logits, batch)).backward()
    learned = torch.zeros(3, 4, dtype=torch.bool)
    learned[0, 1:3] = learned[2, :2] = True
    assert torch.equal(logits.grad.abs().sum(-1) > 0, learned)


def test_two_teachers_are_two_sets():
    with FakeServer(ok(reply(("teacher", "second")))) as server, Scorer(server.url) as scorer:
        batch = scorer.score(SEQUENCES, PROMPTS)
        assert server.requests[0]["path"] == "/v1/score"
    logits = torch.randn(3, 4, wire.V)
    both = weighted(kd_loss, {"teacher": 0.25, "second": 0.75}, logits, batch)
    torch.testing.assert_close(both, kd_loss(logits, batch, target_set="second"))


def test_arrays_of_numpy_on_request():
    with FakeServer(ok(reply())) as server, Scorer(server.url, as_torch=False) as scorer:
        assert isinstance(scorer.score(SEQUENCES, PROMPTS)["teacher_ids"], np.ndarray)


def test_what_breaks_off_is_asked_again():
    body = reply()
    busy = problem(503, "teacher-busy", retryable=True)
    script = (busy, broken_off(body, 900), broken_off(body, 10), ok(body))
    with FakeServer(*script) as server, Scorer(server.url) as scorer:
        assert scorer.score(SEQUENCES, PROMPTS).rows == 3
        assert len({request["body"] for request in server.requests}) == 1
        assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("body", "error", "match"),
    [
        (reply(rows="4"), TruncatedReply, "rows"),
        (reply()[:-700], TruncatedReply, "breaks off|rows"),
        (reply(layout="frames"), LogitcaskError, "another request"),
        (
            reply(label_space='{"kind":"vocabulary","size":9,"tokenizer":null}'),
            LogitcaskError,
            "ids",
        ),
        (reply(sequences=[[5, 6, 7, 8], *SEQUENCES[1:]]), LogitcaskError, "other tokens"),
    ],
)
def test_a_reply_that_does_not_answer_is_refused(body, error, match):
    with FakeServer(ok(body)) as server, Scorer(server.url, attempts=2) as scorer:
        with pytest.raises(error, match=match) as caught:
            scorer.score(SEQUENCES, PROMPTS)
        assert caught.value.code in ("reply-invalid", "reply-truncated")
        with pytest.raises(LogitcaskError):
            scorer.score([*SEQUENCES, [1, 2]])


def test_what_the_server_refuses_is_not_asked_again():
    refusal = problem(404, "sample-not-found", retryable=False)
    with FakeServer(refusal, ok_json({})) as server, Scorer(server.url) as scorer:
        with pytest.raises(LogitcaskError, match="sample-not-found") as caught:
            scorer.score(SEQUENCES)
        assert caught.value.got == 3 and len(server.requests) == 1


@pytest.mark.parametrize("given", [{"prompt_lengths": [1]}, {"meta": [{}]}])
def test_one_of_each_a_sequence(given):
    with Scorer("http://127.0.0.1:1") as scorer, pytest.raises(LogitcaskError, match="one a seq"):
        scorer.score(SEQUENCES, **given)


def test_ids_are_integers():
    with Scorer("http://127.0.0.1:1") as scorer, pytest.raises(TypeError):
        scorer.score([[0.5, 1.0]])
