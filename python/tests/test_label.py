"""`logitcask label`: its text loads in Hugging Face datasets, its snapshots in LogitDataset."""

import gzip
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import CLI, run_cli, serve
from datasets import load_dataset

from logitcask import Client, LogitcaskError, LogitDataset

ROOT = CLI.parents[2]
TOKENIZER = ROOT / "bench" / "data" / "small-lm" / "tokenizer.json"
RECORDED = ROOT / "test" / "golden" / "servers" / "vllm-chat.json.gz"
PROMPTS, RESPONSES = 24, 3


class Teacher(BaseHTTPRequestHandler):
    """Answers with a run of tokens of a recorded reply, by the seed."""

    reply = json.loads(gzip.decompress(RECORDED.read_bytes()))["response"]

    def do_GET(self):
        models = {"data": [{"id": "small-lm", "max_model_len": 256}]}
        self.send(models if self.path == "/v1/models" else {"version": "0.32.0"})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        choice = self.reply["choices"][0]
        first = body["seed"] % 16
        own = slice(first, first + 8)
        content = choice["logprobs"]["content"][own]
        text = bytes(byte for token in content for byte in token["bytes"]).decode()
        k = body.get("top_logprobs")
        tops = [{**token, "top_logprobs": token["top_logprobs"][:k]} for token in content]
        answer = {
            **choice,
            "message": {"role": "assistant", "content": text},
            "token_ids": choice["token_ids"][own],
            "logprobs": None if k is None else {"content": tops},
            "finish_reason": "stop",
        }
        usage = {"prompt_tokens": 3, "completion_tokens": len(content)}
        self.send({**self.reply, "choices": [answer], "usage": usage})

    def send(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def teacher():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Teacher)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def labelled(teacher, tmp_path_factory):
    """The same prompts with soft targets and without, as text in every form."""
    folder = tmp_path_factory.mktemp("label")
    prompts = folder / "prompts.jsonl"
    lines = [json.dumps({"text": f"In the beginning {i}"}) for i in range(PROMPTS)]
    prompts.write_text("\n".join(lines))

    def label(dataset, *more):
        flags = ["--prompts", prompts, "--url", teacher, "--tokenizer", TOKENIZER]
        flags += ["--store", folder / "store", "--responses", str(RESPONSES), "--validation", "0.3"]
        report = json.loads(run_cli("label", *flags, "--dataset", dataset, "--json", *more))
        assert report["counts"]["responses"] == PROMPTS * RESPONSES
        return report

    return SimpleNamespace(
        folder=folder,
        label=label,
        soft=label("soft", "--top-k", "12"),
        hard=label("hard", "--top-k", "0"),
    )


@pytest.mark.parametrize("form", ["chat", "prompt-completion"])
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_text_loads_in_datasets(labelled, kind, form):
    out = labelled.folder / f"{kind}-{form}"
    report = labelled.label("hard", "--top-k", "0", "--export", kind, "--form", form, "--out", out)
    files = {Path(file).stem: file for file in report["exported"]}
    assert set(files) == {"train", "validation"}
    loader = {"jsonl": "json", "parquet": "parquet"}[kind]
    found = load_dataset(loader, data_files=files, cache_dir=str(labelled.folder / "cache"))
    assert {name: len(side) for name, side in found.items()} == report["sides"]
    hashes = [set(side["prompt_hash"]) for side in found.values()]
    assert not hashes[0] & hashes[1]
    for row in found["train"]:
        messages = row["messages"] if form == "chat" else [*row["prompt"], *row["completion"]]
        assert [one["role"] for one in messages] == ["user", "assistant"]
        assert messages[0]["content"].startswith("In the beginning ")
        assert messages[1]["content"]


@pytest.mark.parametrize("layout", ["frames", "plain", "dense"])
def test_snapshots_are_pulled(labelled, layout):
    with serve(labelled.folder / "store") as (url, _):
        with Client(url) as client:
            assert client.manifest("hard-train").document["features"] == ["responses"]
        seen = {}
        for name in ["soft", "hard"]:
            data = LogitDataset(url, f"{name}-train", batch_size=4, shuffle=False, layout=layout)
            batches = list(data)
            seen[name] = [np.asarray(batch["tokens"]) for batch in batches]
            assert sum(batch.rows for batch in batches) == labelled.soft["sides"]["train"]
            for batch in batches:
                mask = np.asarray(batch["mask"])
                assert mask.any()
                assert list(batch.target_sets) == (["teacher"] if name == "soft" else [])
                assert all("prompt_hash" in meta for meta in batch.meta)
        # the same responses, of which one set has the soft targets as well
        for soft, hard in zip(seen["soft"], seen["hard"], strict=True):
            np.testing.assert_array_equal(soft, hard)


def test_hard_labels_have_no_targets_to_lose(labelled):
    with serve(labelled.folder / "store") as (url, _):
        data = LogitDataset(url, "hard-train", batch_size=2, shuffle=False, target_set="teacher")
        with pytest.raises(LogitcaskError) as error:
            next(iter(data))
        assert error.value.code == "request-invalid"
