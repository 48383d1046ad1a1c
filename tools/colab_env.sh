#!/usr/bin/env bash
# Colab's versions (requirements-colab.txt), in an environment of their own beside the usual one.
#
#   tools/colab_env.sh         makes .venv-colab anew: some minutes, some gigabytes; needs Python 3.13
#   tools/colab_env.sh test    runs in it what learners meet on Colab: the explorers and the notebooks with sliders
set -euo pipefail
cd "$(dirname "$0")/.."

python_313() {
    local candidate
    for candidate in python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python; do
        if [ "$("$candidate" -c 'import sys; print(*sys.version_info[:2])' 2>/dev/null)" = "3 13" ]; then
            echo "$candidate"
            return
        fi
    done
    echo "error: Colab runs Python 3.13, and none is on PATH or in pyenv; install it, e.g. pyenv install 3.13" >&2
    exit 2
}

build() {
    local python
    python=$(python_313)
    rm -rf .venv-colab
    "$python" -m venv .venv-colab
    .venv-colab/bin/python -m pip install --quiet -r requirements-colab.txt
}

run_tests() {
    if [ ! -x .venv-colab/bin/python ]; then
        echo "error: no environment .venv-colab here; run tools/colab_env.sh first" >&2
        exit 2
    fi
    export PYDEVD_DISABLE_FILE_VALIDATION=1 # else the old kernel's debugger complains of Python 3.13 on stderr
    .venv-colab/bin/python -m pytest -p no:cacheprovider tests/explorers tests/test_engine.py tests/test_processes.py \
        tests/test_tasks.py tests/test_limits.py tests/test_agreement.py \
        notebooks/0[1-5]_*.ipynb notebooks/0[79]_*.ipynb notebooks/12_*.ipynb
}

case "$*" in
    "") build ;;
    test) run_tests ;;
    *)
        echo "error: expected no argument or 'test'; got '$*'" >&2
        exit 2
        ;;
esac
