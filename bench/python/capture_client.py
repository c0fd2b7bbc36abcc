"""A bare client of a vLLM: asks for prompt log-probs of texts, and throws the replies away.

usage: capture_client.py URL TEXTS K THREADS
"""

import http.client
import json
import sys
import threading
from urllib.parse import urlparse


def main():
    url, texts, k, threads = sys.argv[1:]
    with open(texts) as file:
        prompts = iter([json.loads(line)["tokens"] for line in file])
    lock = threading.Lock()

    def work():
        connection = http.client.HTTPConnection(urlparse(url).netloc)
        while True:
            with lock:
                prompt = next(prompts, None)
            if prompt is None:
                return
            body = {
                "model": "small-lm",
                "prompt": prompt,
                "max_tokens": 1,
                "temperature": 0,
                "prompt_logprobs": int(k),
                "return_token_ids": True,
            }
            connection.request("POST", "/v1/completions", json.dumps(body))
            connection.getresponse().read()

    workers = [threading.Thread(target=work) for _ in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


main()
