"""On-policy distillation through the cache, against a fixed set: everything, on a CPU, in minutes.

    npm ci && npm run build && python -m pip install ./python torch transformers
    python examples/on-policy/run.py --seeds 3

A teacher is started, and a server before it (`logitcask serve --teacher …`). Each seed's student
learns from a fixed set first; then one copy goes on with that set, another with its own rollouts,
for as many steps. The server has kept the rollouts: it starts again without the teacher, and a
second student, warm as the first was, replays them. At the end the teacher judges what each writes.
"""

import argparse
import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import torch
from students import Student, Trainer, judge, prompts_of, train_on_own, train_on_stored

from logitcask import Client, Scorer

ROOT = Path(__file__).resolve().parents[2]
CLI = ROOT / "dist" / "src" / "cli.js"
SMALL_LM = ROOT / "bench" / "data" / "small-lm"
TOKENIZER = SMALL_LM / "tokenizer.json"
LENGTH = 64
TOP_K = 32
#: Every such chapter is held out.
HELD_OUT = 10


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--samples", type=int, default=1024, help="of the fixed set")
    parser.add_argument("--warm-up", type=int, default=300, help="steps on the fixed set")
    parser.add_argument("--steps", type=int, default=120, help="steps that differ")
    parser.add_argument("--judged", type=int, default=8, help="batches that are judged")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


@contextmanager
def process(*command):
    """A server, and the first line that it prints."""
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running.stdout.readline().strip()
        finally:
            running.terminate()


@contextmanager
def serve(store, teacher, *more):
    command = ["node", CLI, "serve", "--store", store, "--port", 0, "--json", *more]
    named = ["--teacher", f"vllm:{teacher}", "--tokenizer", TOKENIZER, "--top-k", TOP_K]
    with process(*command, *named) as line:
        yield json.loads(line)["url"]


def write_texts(folder):
    """Chapters of the King James Version: to learn from, and others to begin judged texts with."""
    text = gzip.decompress((ROOT / "data" / "kjv.txt.gz").read_bytes()).decode()
    chapters = [one for one in text.split("\n\n") if one.strip()]
    sets = {"fixed": [], "held-out": []}
    for i, chapter in enumerate(chapters):
        sets["held-out" if i % HELD_OUT == HELD_OUT - 1 else "fixed"].append(chapter)
    for name, texts in sets.items():
        random.Random(0).shuffle(texts)
        (folder / f"{name}.txt").write_text("\n\n".join(texts))


def build(store, folder, teacher, name, samples):
    texts = ["--texts", folder / f"{name}.txt", "--samples", samples, "--sample-length", LENGTH]
    source = ["--source", "vllm", "--url", teacher, "--tokenizer", TOKENIZER, "--top-k", TOP_K]
    command = ["node", CLI, "build", "--store", store, "--dataset", name, *source, *texts]
    subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL)


def asked(teacher):
    with urllib.request.urlopen(f"{teacher}/asked") as reply:
        return json.load(reply)["requests"]


def wait_for_snapshot(url, dataset):
    """Sealed while the server runs, as its configuration says (`cache.seal_ms`)."""
    with Client(url) as client:
        while not any(one["name"] == dataset and one["tags"] for one in client.datasets()):
            time.sleep(0.05)


def train_first(url, vocabulary, seed, options):
    """A warm start on the fixed set, then more of it, or the student's own rollouts."""
    torch.manual_seed(seed)
    warm = Trainer(Student(vocabulary))
    train_on_stored(warm, url, "fixed", steps=options.warm_up, seed=seed)
    fixed, own = warm.copy(), warm.copy()
    train_on_stored(fixed, url, "fixed", steps=options.steps, seed=seed + 1000)
    with Scorer(url) as scorer:
        prompts = prompts_of(url, "fixed", seed)
        train_on_own(own, scorer, prompts, steps=options.steps, seed=seed)
    return {"warm start": warm, "fixed set": fixed, "own rollouts": own}


def train_second(url, warm, seed, options):
    """Another student reads what the first one wrote like any other data set."""
    second = warm.copy()
    rollouts = {"filter": {"meta": {"field": "seed", "in": [seed]}}}
    train_on_stored(second, url, "live", steps=options.steps, seed=seed, **rollouts)
    return second


def run(folder, options):
    store, found = folder / "store", []
    write_texts(folder)
    variant = ["--variant", "f16", "--port", 0]
    command = [sys.executable, Path(__file__).with_name("teacher.py"), "--model", SMALL_LM]
    with process(*command, *variant) as teacher:
        build(store, folder, teacher, "fixed", options.samples)
        build(store, folder, teacher, "held-out", 256)
        with serve(store, teacher) as url:
            space = Client(url).manifest("fixed").document["label_space"]
            students = [train_first(url, space["size"], i, options) for i in range(options.seeds)]
        before = asked(teacher)
        settings = folder / "serve.json"
        settings.write_text(json.dumps({"cache": {"seal_ms": 100}}))
        with serve(store, teacher, "--offline", "--config", settings) as url:
            wait_for_snapshot(url, "live")
            for i, of_seed in enumerate(students):
                of_seed["replayed"] = train_second(url, of_seed["warm start"], i, options)
        assert asked(teacher) == before, "the replay asked the teacher"
        with serve(store, teacher) as url, Scorer(url) as scorer:
            for i, of_seed in enumerate(students):
                for name, trainer in of_seed.items():
                    prompts = prompts_of(url, "held-out", 0)
                    judged = judge(trainer.student, scorer, prompts, batches=options.judged, seed=i)
                    found.append({"seed": i, "student": name, **judged})
    return found


def table(found):
    names = list(dict.fromkeys(one["student"] for one in found))
    lines = ["| student | teacher's perplexity, by seed | distinct pairs |", "|---|---|---|"]
    for name in names:
        own = [one for one in found if one["student"] == name]
        by_seed = " / ".join(f"{one['perplexity']:.0f}" for one in own)
        distinct = sum(one["distinct"] for one in own) / len(own)
        lines.append(f"| {name} | {by_seed} | {distinct:.2f} |")
    return "\n".join(lines)


def main():
    options = read_arguments()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), options)
    print(json.dumps(found) if options.json else table(found))


if __name__ == "__main__":
    main()
