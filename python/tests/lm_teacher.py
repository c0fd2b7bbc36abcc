"""The small LM behind vLLM's interface: a teacher that scores given ids and generates greedily."""

import json
import shutil
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import torch
from transformers import AutoModelForCausalLM

MODEL = Path(__file__).resolve().parents[2] / "bench" / "data" / "small-lm"


def copy_model(folder):
    """As transformers wants it: with the usual name of the weights."""
    for file in MODEL.glob("*.json"):
        shutil.copy(file, folder)
    shutil.copy(MODEL / "model.f16.safetensors", folder / "model.safetensors")
    return folder


@torch.no_grad()
def rows_of(model, tokens, k):
    """vLLM's order: the actual token first."""
    logprobs = model(torch.tensor([tokens])).logits[0].float().log_softmax(-1)
    rows = [None]
    for t, actual in enumerate(tokens[1:]):
        values, ids = logprobs[t].topk(k)
        own = logprobs[t, actual].item()
        rank = int((logprobs[t] > own).sum()) + 1
        entries = {str(actual): {"logprob": own, "rank": rank, "decoded_token": ""}}
        for i, (value, token) in enumerate(zip(values.tolist(), ids.tolist())):
            entries[str(token)] = {"logprob": value, "rank": i + 1, "decoded_token": ""}
        rows.append(entries)
    return rows


@torch.no_grad()
def generate(model, tokens, count):
    made = list(tokens)
    for _ in range(count):
        made.append(int(model(torch.tensor([made])).logits[0, -1].argmax()))
    return made[len(tokens) :]


def answer(model, body):
    prompts, k = body["prompt"], body.get("prompt_logprobs")
    prompts = prompts if isinstance(prompts[0], list) else [prompts]
    choices = []
    for index, tokens in enumerate(prompts):
        made = generate(model, tokens, body.get("max_tokens") or 1)
        with_ids = body.get("return_token_ids")
        choices.append({
            "index": index,
            "text": "",
            "logprobs": None,
            "finish_reason": "length",
            "token_ids": made if with_ids else None,
            "prompt_token_ids": tokens if with_ids else None,
            "prompt_logprobs": None if k is None else rows_of(model, tokens, k),
        })  # fmt: skip
    return {"object": "text_completion", "model": "small-lm", "choices": choices}


@contextmanager
def serve_teacher(folder):
    """Its address, and the bodies that it was asked with."""
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    asked, lock = [], threading.Lock()
    facts = {
        "/v1/models": {"data": [{"id": "small-lm", "max_model_len": 256}]},
        "/version": {"version": "0.32.0"},
        "/health": {},
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def reply(self, value):
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.reply(facts[self.path])

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                asked.append(body)
                value = answer(model, body)
            self.reply(value)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield SimpleNamespace(url=url, asked=asked, model=model)
        server.shutdown()
        thread.join()
