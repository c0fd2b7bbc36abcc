"""The forward hook with the small LM, through the example and by itself."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from conftest import CLI, serve

from logitcask import LogitcaskError, Recorder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
ROOT = CLI.parents[2]
SMALL = ROOT / "bench" / "data" / "small-lm"


@pytest.fixture(scope="module")
def small_lm(tmp_path_factory):
    """The folder as transformers reads it."""
    folder = tmp_path_factory.mktemp("model") / "small-lm"
    folder.mkdir()
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        (folder / name).symlink_to(SMALL / name)
    (folder / "model.safetensors").symlink_to(SMALL / "model.f16.safetensors")
    return folder


def load(folder):
    model = transformers.AutoModelForCausalLM
    return model.from_pretrained(folder, dtype=torch.float32).eval()


def test_the_example_records_the_small_lm(small_lm, tmp_path):
    text = gzip.decompress((ROOT / "data" / "kjv.txt.gz").read_bytes()).decode()
    lines = [line for line in text.splitlines() if len(line) > 40][:24]
    (tmp_path / "texts.txt").write_text("\n".join([*lines, lines[0]]))
    with serve(tmp_path / "store") as (url, _):
        command = [sys.executable, ROOT / "examples" / "record" / "record.py", "--url", url]
        command += ["--model", small_lm, "--texts", tmp_path / "texts.txt"]
        command += ["--spool", tmp_path / "spool"]
        env = {**os.environ, "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, env=env)
        assert done.returncode == 0, done.stderr
        assert f"{len(set(lines))} samples, {25 - len(set(lines))} known" in done.stdout
        path = f"{url}/v1/datasets/recorded/snapshots/latest/rows?length=1"
        with urllib.request.urlopen(path, timeout=30) as reply:
            (row,) = json.loads(reply.read())["rows"]
    model = load(small_lm)
    with torch.inference_mode():
        logits = model(torch.tensor([row["tokens"]])).logits[0].double()
    logprobs = torch.log_softmax(logits, -1).numpy()
    targets = row["targets"]["teacher"]
    following = row["tokens"][1:]
    expected = logprobs[np.arange(len(following)), following]
    np.testing.assert_allclose(targets["label_logprob"][:-1], expected, rtol=2e-3, atol=1e-3)


def test_forwards_of_parts_are_refused(small_lm, tmp_path):
    model = load(small_lm)
    ids = torch.arange(5, 25)[None]
    recorder = Recorder("http://127.0.0.1:9", "none", teacher="small", spool=tmp_path / "spool")
    handle = recorder.attach(model)
    with torch.inference_mode():
        cache = model(input_ids=ids)["past_key_values"]
        for call in (
            {"input_ids": ids[:, -1:], "cache": cache},
            {"input_ids": ids, "logits_to_keep": 1},
        ):
            with pytest.raises(LogitcaskError, match="part of its sequences"):
                model(**call)
        with pytest.raises(LogitcaskError, match="without input_ids"):
            model(inputs_embeds=torch.zeros(1, 4, 192))
        handle.remove()
        model(inputs_embeds=torch.zeros(1, 4, 192))
    recorder.flush()
    assert len(list((tmp_path / "spool").glob("*.arrow"))) == 1
    with pytest.raises(LogitcaskError, match="server-unreachable"):
        recorder.close(timeout_s=0.5)
