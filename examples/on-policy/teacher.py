"""A stand-in for vLLM that runs on any CPU: a Hugging Face causal LM that scores given tokens.

    python examples/on-policy/teacher.py --model bench/data/small-lm --variant f16 --port 8000

It answers /health, /version, /v1/models and /v1/completions with `prompt_logprobs`, as vLLM does:
whole-vocabulary log-probs at temperature 1. It generates nothing. With a GPU use vLLM itself:
`vllm serve MODEL --max-logprobs -1`; nothing else in this example changes.
"""

import argparse
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from transformers import AutoModelForCausalLM


class Teacher:
    def __init__(self, model, variant):
        self.name = str(model)
        loaded = AutoModelForCausalLM.from_pretrained(model, variant=variant, dtype=torch.float32)
        self.model = loaded.eval()
        self.context = loaded.config.max_position_embeddings
        self.asked = 0
        self._lock = threading.Lock()

    @torch.no_grad()
    def score(self, tokens, k):
        """Row t: the k most probable tokens at place t given those before, and the actual one."""
        with self._lock:
            self.asked += 1
            logits = self.model(torch.tensor([tokens])).logits[0, :-1]
        logprobs = logits.log_softmax(-1)
        labels = torch.tensor(tokens[1:])[:, None]
        own = logprobs.gather(1, labels)
        ranks = (logprobs > own).sum(1).tolist()
        top = logprobs.topk(k)
        rows = [None]
        for t, (values, ids) in enumerate(zip(top.values.tolist(), top.indices.tolist())):
            row = {one: entry(p, i + 1) for i, (p, one) in enumerate(zip(values, ids))}
            row.setdefault(tokens[t + 1], entry(own[t, 0].item(), ranks[t] + 1))
            rows.append(row)
        return rows


def entry(logprob, rank):
    return {"logprob": logprob, "rank": rank, "decoded_token": None}


class Refused(Exception):
    """What a request asks for and this server does not do."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    teacher: Teacher

    def do_GET(self):
        model = {"id": self.teacher.name, "max_model_len": self.teacher.context}
        found = {
            "/health": {},
            "/version": {"version": "stand-in"},
            "/v1/models": {"object": "list", "data": [model]},
            "/asked": {"requests": self.teacher.asked},
        }
        if self.path in found:
            return self.reply(200, found[self.path])
        return self.reply(404, {"error": {"message": f"nothing is at {self.path}"}})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            choices = self.choices(json.loads(body))
        except (Refused, ValueError, KeyError, IndexError) as error:
            return self.reply(400, {"error": {"message": f"bad request: {error!r}"}})
        return self.reply(200, {"object": "text_completion", "choices": choices})

    def choices(self, request):
        prompt, k = request["prompt"], request.get("prompt_logprobs")
        if k is None or request.get("max_tokens", 16) > 1:
            raise Refused("this stand-in scores prompts, and generates nothing")
        prompts = [prompt] if isinstance(prompt[0], int) else prompt
        if max(map(len, prompts)) >= self.teacher.context:
            raise Refused(f"the context is {self.teacher.context} tokens")
        return [
            {
                "index": index,
                "text": "",
                "finish_reason": "length",
                "prompt_token_ids": tokens if request.get("return_token_ids") else None,
                "prompt_logprobs": self.teacher.score(tokens, k),
            }
            for index, tokens in enumerate(prompts)
        ]

    def reply(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of a Hugging Face causal LM")
    parser.add_argument("--variant", help="of its weights: f16 for model.f16.safetensors")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one")
    options = parser.parse_args()
    torch.set_num_threads(1)
    Handler.teacher = Teacher(options.model, options.variant)
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
