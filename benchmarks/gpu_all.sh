#!/usr/bin/env bash
# All GPU checks and measurements in one unattended call of about nine minutes; each part has its own timeout.
#
#     bash benchmarks/gpu_all.sh OUT [VERSIONS]
#
# OUT gets all.log, tests.log (compilation, too), run.log (sanitizer, too), gpu.md, gpu.jsonl (a row as soon as it is
# measured), ncu.here.csv. A folder in VERSIONS holds files that differ in another version (VERSIONS/NAME/kernels/cuda/conv.cu, or all of
# its kernels/ and minigan/): they are laid over a copy of this tree, and the copies are timed in turns. Nothing has to be
# installed: a link makes the package. PACKAGES is a folder of further Python packages, such as the one with the digits.
# GPU_REHEARSAL=1 goes through all parts on a machine without a GPU, SLOW=5 gives each five times as long. TOTAL is the
# number of seconds there are.
set -u
cd "$(dirname "$0")/.."
mkdir -p "$1"
out=$(realpath "$1") versions=${2:+$(realpath "$2")} total=${TOTAL:-555} python=$(command -v python3)
packages=${PACKAGES:+:$(realpath "$PACKAGES")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONUNBUFFERED=1 CUPY_CACHE_DIR=$work/cupy TORCHINDUCTOR_CACHE_DIR=$work/inductor PYTHONDONTWRITEBYTECODE=1

part() {  # SECONDS NAME COMMAND...: run it in the current tree, for so long at most; its failure is reported and stops nothing else
    local limit=$(($1 * ${SLOW:-1})) name=$2 left=$((total - SECONDS))
    shift 2
    [ "$limit" -gt "$left" ] && limit=$left
    [ "$limit" -lt 5 ] && { echo "==> $name: no time left"; return; }
    echo "==> $name, at second $SECONDS, for at most $limit"
    PYTHONPATH=$PWD$packages timeout -s INT -k 8 "$limit" "$@" || echo "==> $name: status $?"
}

tree() {  # NAME: a copy of this tree in which minigan.kernels can be imported
    mkdir -p "$work/$1"
    cp -r benchmarks examples kernels minigan tests pyproject.toml "$work/$1"
    ln -sfn ../kernels "$work/$1/minigan/kernels"
}

prepare() {  # compile what the timings need while the tests run; nothing is timed yet
    cd "$work/here" || exit
    local jobs=() name
    part 90 "compile" "$python" benchmarks/gpu_record.py --compile 7 --counts "$work/counts.json" >"$work/compile.here" 2>&1 &
    jobs+=($!)
    for name in $names; do
        (cd "$work/$name" && part 90 "compile $name" "$python" benchmarks/gpu_record.py --compile 2 --cases versions) \
            >"$work/compile.$name" 2>&1 &
        jobs+=($!)
    done
    local parallel=""
    "$python" -c "import xdist" 2>/dev/null && parallel="-n 7"
    local files=(conv matmul norm pad reduce optim) tests=("$python" -m pytest -m gpu -vv tests/cuda/test_hopper.py
        tests/cuda/test_capture*.py)
    for name in "${files[@]}"; do tests+=("tests/cuda/test_cuda_$name.py"); done
    tests+=(-p no:benchmark)  # that plugin refuses to run with xdist
    part 100 "tests" "${tests[@]}" $parallel >"$out/tests.log" 2>&1
    grep -qE "PASSED|FAILED" "$out/tests.log" || part 60 "tests again" "${tests[@]}" >>"$out/tests.log" 2>&1
    wait "${jobs[@]}"
    grep -v " PASSED" "$out/tests.log" | tail -25
    cat "$work"/compile.* | tail -25
    cat "$work"/compile.* >>"$out/tests.log"
}

measure() {
    cd "$work/here" || exit
    local gpu=("$python" benchmarks/gpu.py --out "$out" --counts "$work/counts.json") name pairs=()
    part 150 "steps" "${gpu[@]}" --budget 140 --sections ceilings,ours,steps
    for name in $names; do pairs+=("$name=$work/$name"); done
    [ -n "$names" ] && part 75 "versions" "$python" benchmarks/gpu_versions.py --out "$out" --budget 65 "${pairs[@]}" \
        "here=$work/here"
    part 25 "split" "${gpu[@]}" --budget 20 --sections split
    examples >"$out/run.log" 2>&1
    grep -vE "^ *$|%\|" "$out/run.log" | tail -30
    part 60 "convolutions" "${gpu[@]}" --budget 52 --sections convolutions
    profile here  # one launch takes about two seconds; what is done when the time is over is in the table
    sanitizer >>"$out/run.log" 2>&1
    tail -6 "$out/run.log"
    [ $((total - SECONDS)) -gt 85 ] && part 90 "compiled" "${gpu[@]}" --budget 80 --sections compiled
}

examples() {  # the headline use: its default run to its end, continued; a derivation
    local device=${GPU_REHEARSAL:+emulated} steps=${GPU_REHEARSAL:+5} run=("$python" examples/dcgan_mnist.py --out "$work/run")
    export MPLBACKEND=Agg MINIGAN_CACHE=$work/cache
    mkdir -p "$work/cache"
    [ -n "$packages" ] && cp -r "${packages#:}/cache/." "$work/cache" 2>/dev/null
    local began=$SECONDS
    part 75 "default run" "${run[@]}" --device "${device:-cuda}" ${GPU_REHEARSAL:+--smoke --width 4}
    echo "the default run took $((SECONDS - began)) s"
    part 25 "resumed" "${run[@]}" --resume --device "${device:-cuda}" --steps "${steps:-1975}"
    part 15 "explain" "$python" -c "import sys, minigan as mg; from minigan.__main__ import main
mg.set_device(sys.argv[1])
main(['explain', 'dcgan', '--format', 'markdown'])" "${device:-cuda:0}" | head -12
    [ -e "$work/run/metrics.jsonl" ] && tail -n 2 "$work/run/metrics.jsonl"
}

sanitizer() {  # memcheck on small products, each array an allocation of its own: with a pool, small overruns are not seen
    command -v compute-sanitizer >/dev/null || { echo "==> compute-sanitizer is not on PATH"; return; }
    part 35 "memcheck" compute-sanitizer --tool memcheck --error-exitcode 9 "$python" -c "import sys, cupy, pytest
cupy.cuda.set_allocator(None)
sys.exit(pytest.main(sys.argv[1:]))" -m gpu -x -p no:benchmark tests/cuda/test_hopper.py -k "matrices or nan or oracle"
}

profile() {  # NAME: the products of one training step under Nsight Compute
    command -v ncu >/dev/null || { echo "==> ncu is not on PATH: no profile"; return; }
    cd "$work/$1" || return
    part 42 "ncu $1" ncu --target-processes all --profile-from-start off --clock-control none -k regex:gemm \
        --csv --page raw --log-file "$out/ncu.$1.csv" --section SpeedOfLight --section WarpStateStats \
        --section SchedulerStats --section MemoryWorkloadAnalysis --section MemoryWorkloadAnalysis_Tables \
        --section ComputeWorkloadAnalysis --section Occupancy --section LaunchStats \
        "$python" benchmarks/gpu_profile.py
    part 20 "table of ncu $1" "$python" benchmarks/gpu_profile.py --table "$out/ncu.$1.csv"
    cd "$work/here" || exit
}

all() {
    nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,power.limit,temperature.gpu --format=csv || true
    tree here
    names=""
    if [ -n "$versions" ]; then
        for folder in "$versions"/*/; do
            local name
            name=$(basename "$folder")
            tree "$name" && cp -r "$folder." "$work/$name" && names="$names $name"
        done
    fi
    (prepare)
    (measure)
    echo "==> the end, at second $SECONDS; all rows are in gpu.md"
    "$python" - "$out/gpu.md" <<'END'
import sys, re
text = open(sys.argv[1]).read()
for part in re.split(r"(?m)^(?=## )", text):
    if not part.startswith(("## convolutions", "## split")):
        print(part[:3500].rstrip())
END
}

all 2>&1 | tee "$out/all.log"
