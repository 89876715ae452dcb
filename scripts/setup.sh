#!/usr/bin/env bash
# Installs what the build needs: Debian packages that are missing, and LibTorch in a folder of its own.
#   scripts/setup.sh [--cuda] [--fuzz]
# LibTorch goes to ${GROMA_DEPS:-~/.cache/groma}/libtorch-VERSION; a second run finds it and does nothing.
# --cuda also takes the CUDA libraries that a program needs on an NVIDIA GPU (about 2 GiB more).
# --fuzz also installs clang, which scripts/fuzz.sh needs.
# Where nvcc is installed, the CUDA part of LibTorch is unpacked too, so that CUDA code can be linked.
set -euo pipefail

torch_version=2.11.0
torch_wheels=(
  "torch==$torch_version --hash=sha256:7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a"
  "nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"
  "nvidia-cuda-cupti==13.0.85 --hash=sha256:4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"
)
# What torch's own metadata asks for on Linux; pip resolves the toolkit's parts.
cuda_wheels=(
  "cuda-toolkit[cublas,cudart,cufft,cufile,cupti,curand,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.0.2"
  nvidia-cudnn-cu13==9.19.0.56 nvidia-cusparselt-cu13==0.8.0 nvidia-nccl-cu13==2.28.9
  nvidia-nvshmem-cu13==3.4.5
)
packages=(
  g++ cmake ninja-build git ca-certificates python3 python3-pip
  libopencv-core-dev libopencv-imgproc-dev libopencv-imgcodecs-dev libjpeg-dev libpng-dev
  libwebp-dev libfreetype-dev
  libsentencepiece-dev nlohmann-json3-dev libcli11-dev libedit-dev
  libgtest-dev libbenchmark-dev libopenmpi-dev openmpi-bin fonts-noto-color-emoji
)

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

want="cpu"  # cpu: run on the CPU; link: also link CUDA code; cuda: also run it
if command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ]; then want="link"; fi
for argument in "$@"; do
  case $argument in
    --cuda) want="cuda" ;;
    --fuzz) packages+=(clang libclang-rt-dev llvm) ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) say "unknown option '$argument'; use --cuda, --fuzz or nothing"; exit 2 ;;
  esac
done

# Debian packages ------------------------------------------------------------------------------

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || echo "$package"
  done
}

install_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "no apt here; install the counterparts of: ${packages[*]}"
    return
  fi
  local missing as_root=() log
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "packages are missing and there is no sudo; as root: apt-get install" $missing
    as_root=(sudo)
  fi
  say "installing with apt:" $missing
  log=$(mktemp)
  "${as_root[@]}" apt-get update -qq >"$log" 2>&1 || say "apt-get update: $(tail -n 1 "$log")"
  # shellcheck disable=SC2086
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    $missing >"$log" 2>&1 || { tail -n 20 "$log" >&2; fail "apt-get failed, see above"; }
  rm -f "$log"
}

# LibTorch -------------------------------------------------------------------------------------

deps=${GROMA_DEPS:-$HOME/.cache/groma}
target=$deps/libtorch-$torch_version
partial=$target.partial

libtorch_is_complete() {
  [ -e "$target/torch/lib/libtorch_cpu.so" ] && [ -e "$target/torch/include/ATen/ATen.h" ] || return 1
  [ "$want" = cpu ] || [ -e "$target/torch/lib/libtorch_cuda.so" ] || return 1
  [ "$want" != cuda ] || [ -e "$target/nvidia/cudnn/lib/libcudnn.so.9" ]
}

check_space() {  # of the file system, in MiB
  local need=2000 free
  case $want in link) need=2500 ;; cuda) need=11000 ;; esac
  free=$(df -Pm "$deps" | awk 'NR == 2 { print $4 }')
  [ "$free" -ge "$need" ] ||
    fail "LibTorch needs $need MiB while it is unpacked, $deps has $free; free some or set GROMA_DEPS"
}

# Wheels that arrived stay in $partial until all is unpacked, so a run that was cut off goes on.
# The Python that runs pip does not matter: nothing of Python is kept.
download() {
  local attempt quiet=(-q)
  [ ! -t 2 ] || quiet=()
  for attempt in 1 2 3; do
    python3 -m pip download "${quiet[@]}" --no-cache-dir --disable-pip-version-check --retries 5 \
      --dest "$partial/wheels" --only-binary=:all: --implementation cp --python-version 3.11 --abi cp311 --abi none \
      --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 \
      --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --platform any "$@" >&2 && return
    say "the download broke off (attempt $attempt of 3)"
  done
  fail "LibTorch cannot be downloaded: see pip's message above; is the package index reachable?"
}

unpack() {  # takes include/ and the libraries that $want asks for
  python3 - "$partial" "$want" <<'PYTHON'
import pathlib, shutil, sys, zipfile
partial, want = pathlib.Path(sys.argv[1]), sys.argv[2]
cpu = {"libtorch.so", "libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}
python_only = {"libtorch_python.so"}

def wanted(name):
    parts = name.split("/")
    if name.endswith("/"):
        return False
    if parts[:2] == ["torch", "include"] or parts[:3] == ["torch", "share", "cmake"]:
        return True
    if parts[:2] == ["torch", "lib"] or (parts[0] == "nvidia" and parts[-2] == "lib"):
        return parts[-1] in cpu or (want != "cpu" and parts[-1] not in python_only)
    return False

tree = partial / "tree"
shutil.rmtree(tree, ignore_errors=True)
for wheel in sorted((partial / "wheels").glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tree, [name for name in archive.namelist() if wanted(name)])
PYTHON
}

install_libtorch() {
  if libtorch_is_complete; then return; fi
  [ "$(uname -sm)" = "Linux x86_64" ] ||
    fail "LibTorch is fetched for Linux on x86_64 only; here, point CMake at yours: -DGROMA_LIBTORCH=FOLDER"
  python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip, which fetches LibTorch; install python3-pip"
  mkdir -p "$deps"
  exec 9>"$partial.lock"
  flock 9  # of two set-ups at the same time the second finds the work done
  if libtorch_is_complete; then return; fi
  check_space
  mkdir -p "$partial/wheels"
  say "LibTorch $torch_version: downloading 520 MiB to $deps"
  printf '%s\n' "${torch_wheels[@]}" >"$partial/requirements.txt"
  download --no-deps --require-hashes -r "$partial/requirements.txt"
  if [ "$want" = cuda ]; then
    say "CUDA libraries: downloading 2 GiB"
    download "${cuda_wheels[@]}"
  fi
  say "unpacking"
  unpack
  # Two renames: at every moment the target is absent, old or complete.
  rm -rf "$target.old"
  [ ! -e "$target" ] || mv "$target" "$target.old"
  mv "$partial/tree" "$target"
  rm -rf "$target.old" "$partial" "$partial.lock"
}

install_packages
install_libtorch
say "ready (LibTorch $torch_version in $target)"
