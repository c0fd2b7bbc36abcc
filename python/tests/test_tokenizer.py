"""A student's tokenizer: the teacher's, one with other added tokens, or refused."""

import json

import numpy as np
import pytest
from conftest import CLI, run_cli, serve

from logitcask import Client, LogitcaskError, LogitDataset
from logitcask._remap import Remap
from logitcask._tokenizer import compare

ROOT = CLI.parents[2]
CASES = [
    json.loads(line) for line in (ROOT / "test/golden/tokenizers.jsonl").read_text().splitlines()
]
TEACHER = ROOT / "data" / "kjv-tokenizer-8192.json"
SIZE = 8192
EXTRA = {"id": SIZE, "content": "<extra>", "special": True}
MINE = {"id": SIZE + 1, "content": "<mine>", "special": True}
AS_NUMPY = {"as_torch": False, "shuffle": False}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_comparison_is_that_of_the_golden_file(case):
    teacher, student, expected = (case[key] for key in ("teacher", "student", "expected"))
    found = compare(json.dumps(teacher).encode(), json.dumps(student).encode())
    assert found.same == (expected["kind"] == "same")
    assert found.difference == expected.get("difference")
    if expected["kind"] == "padded":
        assert found.teacher_only == expected["teacherOnly"]
        assert found.student_only == expected["studentOnly"]
        assert {k: list(ids) for k, ids in found.moved.items()} == expected["moved"]


def test_what_is_no_tokenizer_is_refused():
    with pytest.raises(LogitcaskError, match="student's is no tokenizer") as caught:
        compare(TEACHER.read_bytes(), b"[]")
    assert caught.value.code == "request-invalid"


def padded(*added, drop=None):
    """The embedded tokenizer without one of its tokens and with others."""
    document = json.loads(TEACHER.read_text())
    document["added_tokens"] = [t for t in document["added_tokens"] if t["content"] != drop]
    document["model"]["vocab"].pop(drop, None)
    document["added_tokens"] += added
    return document


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The embedded teacher with an added token that no sample holds, in two layouts' worth of k."""
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "teacher.json").write_text(json.dumps(padded(EXTRA)))
    settings = ["--samples", "12", "--sample-length", "48", "--tokenizer", folder / "teacher.json"]
    for name, rule in {"top": ["--k", "24"], "drawn": ["--tau", "0.05"]}.items():
        run_cli("build", *settings, *rule, "--dataset", name, "--store", folder / "store")
    with serve(folder / "store") as (url, _), Client(url) as client:
        yield client, folder


def student(folder, document):
    file = folder / "student.json"
    file.write_text(json.dumps(document))
    return file


def batches(client, name="top", **options):
    return list(LogitDataset(client, name, **AS_NUMPY, **options))


def test_same_tokenizer_changes_nothing(store):
    client, folder = store
    plain = batches(client)
    named = batches(client, tokenizer=folder / "teacher.json")
    rewritten = student(folder, json.loads((folder / "teacher.json").read_text()))
    for one, two, three in zip(plain, named, batches(client, tokenizer=rewritten), strict=True):
        for key, array in one.arrays.items():
            assert np.array_equal(array, two[key], equal_nan=array.dtype.kind == "f")
            assert np.array_equal(array, three[key], equal_nan=array.dtype.kind == "f")


def test_padded_tokenizer_is_refused_with_the_way_out(store):
    client, folder = store
    with pytest.raises(LogitcaskError, match=r"<extra> 8192.*remap=True") as caught:
        batches(client, tokenizer=student(folder, padded()))
    assert (caught.value.code, caught.value.status) == ("conflict", 409)


def test_another_tokenizer_is_refused_even_with_remap(store):
    client, folder = store
    document = padded(EXTRA)
    document["model"]["merges"].reverse()
    with pytest.raises(LogitcaskError, match=r"model\.merges, item 0") as caught:
        batches(client, tokenizer=student(folder, document), remap=True)
    assert caught.value.code == "conflict"


@pytest.mark.parametrize("name", ["top", "drawn"])
@pytest.mark.parametrize("layout", ["frames", "plain", "dense"])
def test_remap_gives_the_students_ids_and_keeps_all_other_mass(store, layout, name):
    client, folder = store
    end = {"id": SIZE + 7, "content": "<|endoftext|>", "special": True}
    moved = student(folder, padded(MINE, EXTRA, end, drop=end["content"]))
    options = {"layout": layout, **({"dtype": "float32"} if layout == "dense" else {})}
    before = batches(client, name, **options)
    after = batches(client, name, tokenizer=moved, remap=True, **options)
    for one, two in zip(before, after, strict=True):
        assert two.vocabulary == SIZE + 8
        inside, held = slice(None), one["teacher_probs"] if layout != "dense" else None
        if layout == "dense":
            inside = np.arange(one["tokens"].shape[1]) < one["length"][:, None]
            held = np.exp(one["teacher_logprobs"])
        for key, real in (("tokens", inside), ("teacher_ids", held > 0)):
            wanted = np.where(one[key] == 0, SIZE + 7, one[key])
            assert np.array_equal(two[key][real], wanted[real])
        probs = "teacher_logprobs" if layout == "dense" else "teacher_probs"
        assert np.array_equal(one[probs], two[probs])
    assert any((two["tokens"] == SIZE + 7).any() for two in after)


@pytest.mark.parametrize("layout", ["frames", "dense"])
def test_a_sample_with_a_token_that_the_student_lacks_is_refused_by_name(store, layout):
    client, folder = store
    without = student(folder, padded(EXTRA, drop="<|endoftext|>"))
    with pytest.raises(LogitcaskError, match=r"sample [0-9a-f]{32} holds <\|endoftext\|> \(0\)"):
        batches(client, tokenizer=without, remap=True, layout=layout)


def ragged(batch, name):
    """Probabilities [N, V] of a flat batch."""
    positions = len(batch[f"{name}_offsets"]) - 1
    out = np.zeros((positions, batch.vocabulary))
    rows = np.repeat(np.arange(positions), np.diff(batch[f"{name}_offsets"]))
    np.add.at(out, (rows, batch[f"{name}_ids"].astype(np.int64)), batch[f"{name}_probs"])
    return out


def test_what_the_student_lacks_goes_to_the_rest_in_every_layout(store):
    """Against a plain formula over the whole vocabulary, with every 7th token the teacher's own."""
    client, folder = store
    teacher = json.loads((folder / "teacher.json").read_text())
    held = np.unique(np.concatenate([batch["tokens"] for batch in batches(client)]))
    lost = np.setdiff1d(np.arange(0, SIZE, 7), held)
    names = {id_: content for content, id_ in teacher["model"]["vocab"].items()}
    comparison = compare(json.dumps(teacher).encode(), json.dumps(teacher).encode())
    kept = {c: i for c, i in comparison.teacher_ids.items() if i not in set(lost.tolist())}
    assert len(names) - len(lost) <= len(kept)
    remap = Remap(comparison._replace(student_ids=kept))
    flat = batches(client)
    dense = batches(client, layout="dense", dtype="float32")
    for one, two in zip(flat, dense, strict=True):
        probs = ragged(one, "teacher")
        changed, padded_ = remap.apply(one), remap.apply(two)
        expected = probs.copy()
        expected[:, lost] = 0
        assert np.array_equal(ragged(changed, "teacher"), expected[:, : changed.vocabulary])
        rest = one["teacher_rest"] + probs[:, lost].sum(1)
        assert np.allclose(changed["teacher_rest"], rest, atol=1e-6)
        assert (probs[:, lost] > 0).any()
        inside = np.arange(two["tokens"].shape[1]) < two["length"][:, None]
        ids, logprobs = padded_["teacher_ids"][inside], padded_["teacher_logprobs"][inside]
        assert not np.isin(ids[logprobs > -np.inf], lost).any()
        mass = np.exp(logprobs).sum(1) + padded_["teacher_rest"][inside]
        assert np.allclose(mass, 1, atol=1e-3)
        assert (np.diff((logprobs == -np.inf).astype(int), axis=1) >= 0).all()
