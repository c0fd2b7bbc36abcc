"""TRL and axolotl as they are published, with our server in the place of vLLM."""

import importlib
import importlib.util
import sys
import types
import urllib.request

import pytest
import torch
from conftest import serve
from lm_teacher import MODEL, copy_model, serve_teacher
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

K = 16
VERSES = [
    "And the LORD spake unto Moses, saying, Speak unto the children of Israel",
    "Blessed is the man that walketh not in the counsel of the ungodly",
    "The heavens declare the glory of God; and the firmament sheweth his handywork",
]

pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages under test


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return copy_model(tmp_path_factory.mktemp("small-lm"))


@pytest.fixture(scope="module")
def tokenizer(model_folder):
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@pytest.fixture(scope="module")
def teacher(model_folder):
    with serve_teacher(model_folder) as teacher:
        yield teacher


@pytest.fixture(scope="module")
def url(teacher, tmp_path_factory):
    store = tmp_path_factory.mktemp("live")
    more = ["--teacher", f"vllm:{teacher.url}", "--tokenizer", MODEL / "tokenizer.json"]
    with serve(store, more=[*more, "--top-k", K]) as (url, _):
        yield url


@pytest.fixture(scope="module")
def client_class():
    """TRL's client needs no vLLM for what it does over HTTP, but asks for it."""
    module = importlib.import_module("trl.generation.vllm_client")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "is_vllm_available", lambda *_, **__: True)
        yield module.VLLMClient


def answers(url):
    """Sequences answered so far, by origin."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as reply:
        lines = reply.read().decode().splitlines()
    found = [line for line in lines if line.startswith("logitcask_cache_answers_total{")]
    return {line.split('origin="')[1].split('"')[0]: int(line.split()[-1]) for line in found}


def test_trl_client_reads_what_the_teacher_says(client_class, teacher, url, tokenizer):
    sequences = [tokenizer(text).input_ids for text in VERSES]
    lengths = [4, 5, 6]
    through, direct = client_class(base_url=url), client_class(base_url=teacher.url)
    assert through.model == direct.model == "small-lm"
    expected = direct.get_sequence_logprobs(sequences, lengths, top_logprobs=K)
    before, asked = answers(url), len(teacher.asked)
    for chunk_size in (0, 1):
        found = through.get_sequence_logprobs(
            sequences, lengths, top_logprobs=K, chunk_size=chunk_size
        )
        assert found["logprob_token_ids"] == expected["logprob_token_ids"]
        assert found["actual_token_ids"] == expected["actual_token_ids"]
        for name in ("logprobs", "actual_logprobs"):
            for ours, theirs in zip(found[name], expected[name]):
                torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs))
    after = answers(url)
    assert len(teacher.asked) - asked == 3
    assert after["teacher"] - before["teacher"] == 3
    assert after["cache"] - before["cache"] == 3


def test_trl_client_generates_and_what_it_made_is_kept(client_class, teacher, url, tokenizer):
    client = client_class(base_url=url)
    prompts = [tokenizer("In the beginning").input_ids]
    made = client.generate(prompts, max_tokens=6, temperature=0.5)
    assert made["prompt_ids"] == prompts
    assert len(made["completion_ids"][0]) == 6
    whole = prompts[0] + made["completion_ids"][0]
    found = client.get_sequence_logprobs([whole], [len(prompts[0])], top_logprobs=1)
    assert found["logprob_token_ids"][0] == [[token] for token in whole[len(prompts[0]) :]]
    scored = [body for body in teacher.asked if body["prompt"] == whole]
    assert len(scored) == 1  # in the background, or by the request that came first


def test_trl_refuses_a_temperature_in_words(client_class, url, tokenizer):
    client = client_class(base_url=url)
    with pytest.raises(Exception, match="approximate_temperatures"):
        client.get_sequence_logprobs([tokenizer(VERSES[0]).input_ids], [3], 4, temperature=2.0)


def make_student():
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=8192, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=128,
        bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def test_trl_server_distillation(client_class, url, tokenizer, tmp_path):
    from datasets import Dataset
    from trl.experimental.server_distillation import (
        ServerDistillationConfig,
        ServerDistillationTrainer,
    )

    student = make_student()
    before = student.model.embed_tokens.weight.detach().clone()
    args = ServerDistillationConfig(
        output_dir=str(tmp_path), teacher_model_server_url=url, beta=0.0, loss_top_k=8,
        max_completion_length=8, max_steps=2, per_device_train_batch_size=2,
        gradient_accumulation_steps=1, learning_rate=1e-2, use_cpu=True, bf16=False,
        report_to=[], save_strategy="no", logging_steps=1, disable_tqdm=True,
    )  # fmt: skip
    scored = answers(url)
    trainer = ServerDistillationTrainer(
        model=student,
        args=args,
        train_dataset=Dataset.from_dict({"prompt": VERSES * 2}),
        processing_class=tokenizer,
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert all(0 < loss < 100 for loss in losses)
    assert not torch.equal(before, student.model.embed_tokens.weight)
    assert sum(answers(url).values()) > sum(scored.values())


@pytest.fixture
def collator_class(monkeypatch):
    """axolotl's collator from its package, whose other modules want what only GPUs have."""
    (root,) = importlib.util.find_spec("axolotl").submodule_search_locations
    names = ["axolotl", "axolotl.integrations", "axolotl.integrations.kd", "axolotl.utils"]
    for name in [*names, "axolotl.utils.data", "axolotl.utils.collators"]:
        package = types.ModuleType(name)
        package.__path__ = [root + name.removeprefix("axolotl").replace(".", "/")]
        monkeypatch.setitem(sys.modules, name, package)
    once = types.ModuleType("axolotl.utils.data.utils")
    once.retry_on_request_exceptions = lambda **_: lambda function: function
    logging = types.ModuleType("axolotl.utils.logging")
    logging.get_logger = importlib.import_module("logging").getLogger
    for module in (once, logging):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    yield importlib.import_module(
        "axolotl.integrations.kd.collator_online_teacher"
    ).OnlineTeacherCollator
    for name in [name for name in sys.modules if name.startswith("axolotl.")]:
        monkeypatch.delitem(sys.modules, name)


def test_axolotl_collator(collator_class, teacher, url, tokenizer):
    sequences = [tokenizer(text).input_ids for text in VERSES]
    labels = [[-100] * 4 + tokens[4:] for tokens in sequences]
    collator = collator_class(
        tokenizer, kd_online_server_base_url=url, kd_online_topk=8, kd_normalize_topk=False
    )
    found = collator.fetch_online_logprobs_vllm(sequences, labels)
    for i, tokens in enumerate(sequences):
        with torch.no_grad():
            logits = teacher.model(torch.tensor([tokens])).logits[0].float()
        values, ids = logits.log_softmax(-1).topk(8)
        # logits-aligned, and the last row is padding
        torch.testing.assert_close(torch.tensor(found["target_logprobs"][i][:-1]), values[:-1])
        assert found["target_token_ids"][i][:-1] == ids[:-1].tolist()
        assert [sum(row) for row in found["target_mask"][i][:-1]] == [
            0 if label == -100 else 8 for label in labels[i][1:]
        ]
    batch = collator([[{"input_ids": t, "labels": m, "attention_mask": [1] * len(t)}
                       for t, m in zip(sequences, labels)]])  # fmt: skip
    assert batch["target_logprobs"].shape == (1, sum(map(len, sequences)), 8)
