#!/usr/bin/env bash
# The one list of Debian packages the project needs, and the command that installs those that are missing.
#
#   scripts/dependencies.sh list GROUP...      package names, one a line
#   scripts/dependencies.sh explain GROUP...   group, package and reason
#   scripts/dependencies.sh install GROUP...   installs what is missing; does nothing where all is there
#
# Groups: build (library and program), python (the Python package), test (the test suite and its checks), aarch64 (the
# kernels for ARM on another machine), fuzz (the fuzz targets), deploy (what reads the files of packaging/ and
# docs/deploy/, for their tests), develop (what else is handy for work on the code).
set -euo pipefail

# group | package | reason
table() {
  cat <<'TABLE'
build|g++|the C++20 compiler; GCC 12 on Debian 12
build|cmake|configures the build; 3.25 or later
build|ninja-build|runs the build on all cores
build|nlohmann-json3-dev|reads and writes config.json, tokenizer.json and safetensors headers
build|libfmt-dev|formats messages and reports
build|libcli11-dev|the program's options and help
build|libedit-dev|edits lines and keeps their history in chat; BSD, where readline is GPL
build|zlib1g-dev|inflates the members of PyTorch's .pt files and checks their CRCs
build|libcurl4-openssl-dev|downloads models from the Hugging Face hub
build|libssl-dev|SHA-256 and SHA-1 of what was downloaded, TLS for lille serve; libcurl needs the same library
build|libcpp-httplib-dev|reads and writes HTTP for lille serve; the program alone needs it
build|libutf8proc-dev|Unicode classes of letters and digits for the tokenizer's split pattern
build|libxxhash-dev|a fast hash of weights and of saved prompt caches; its header alone
python|pybind11-dev|binds the library to Python; a template library without code of its own
python|python3-dev|the headers of Python
python|python3-venv|virtual environments, into which pip installs the package
python|python3-pip|installs the package
python|python3-setuptools|the back end by which pip builds it
python|python3-wheel|the same
python|python3-numpy|the arrays that logits come in
test|python3-pytest|the test framework of the Python package
test|mypy|checks the types of the Python package
test|libgtest-dev|the test framework
test|libpcre2-dev|an independent reading of the tokenizer's split pattern, for tests and the tokenizer benchmark
test|libbenchmark-dev|the benchmark programs; built with the tests so that they cannot rot
test|clang-format|checks the layout of the code, where it is version 14 as on Debian 12
test|doxygen|makes the reference page of the public headers and finds what is not documented
test|mandoc|checks the manual pages
test|dpkg-dev|finds which packages a Debian package depends on, when cpack makes one
test|file|tells cpack which files are programs
test|curl|talks with lille serve as people do
test|openssl|makes the certificate that it does so with over TLS
test|pkgconf|checks that other projects find the installed library by pkg-config
aarch64|g++-aarch64-linux-gnu|compiles for 64-bit ARM elsewhere, with its C and C++ libraries
aarch64|qemu-user-static|runs programs for ARM, on the processor that is asked for
aarch64|googletest|the test framework's source, since libgtest-dev is compiled for this machine
fuzz|clang|libFuzzer
deploy|systemd|checks the service
deploy|haproxy|stands in front of replicas of lille serve
deploy|nginx|the same
deploy|iproute2|gives each replica a network of its own
deploy|python3|asks the replicas through the proxy
deploy|python3-yaml|reads the manifests of Kubernetes
develop|ccache|rebuilds in seconds after a change of branch
develop|lintian|checks the Debian packages
develop|clang-tidy|runs the checks of .clang-tidy
develop|shellcheck|checks the scripts
develop|chromium|uses the page of lille serve, in tests/server/page.sh
develop|nodejs|drives chromium there, and runs the clients of tests/clients
develop|npm|fetches playwright-core for it, and these clients, which Debian does not have
develop|python3|makes the traffic of bench/soak.py and bench/serve_load.py
TABLE
}

say() { printf 'lille: %s\n' "$*" >&2; }

# Rows of the table whose group is one of the arguments.
rows() {
  local group package reason wanted
  for wanted in "$@"; do
    while IFS='|' read -r group package reason; do
      [[ $group != "$wanted" ]] || printf '%s|%s|%s\n' "$group" "$package" "$reason"
    done < <(table)
  done
}

installed() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# On a system without apt only a person can tell what the packages are called there.
without_apt() {
  say "this system has no apt-get; the build needs what Debian calls:"
  rows "$@" | while IFS='|' read -r _ package reason; do printf '  %-20s %s\n' "$package" "$reason" >&2; done
  if ! command -v cmake >/dev/null || ! command -v ninja >/dev/null; then
    say "cmake or ninja is missing; stopped"
    exit 1
  fi
  say "going on; CMake names what it does not find"
}

install() {
  local missing=() package reason log as_root=()
  command -v apt-get >/dev/null || { without_apt "$@"; return; }
  while IFS='|' read -r _ package reason; do
    installed "$package" || missing+=("$package|$reason")
  done < <(rows "$@")
  ((${#missing[@]})) || return 0

  say "missing Debian packages, installed with apt-get:"
  printf '%s\n' "${missing[@]}" | while IFS='|' read -r package reason; do printf '  %-20s %s\n' "$package" "$reason" >&2; done
  if ((EUID != 0)); then
    command -v sudo >/dev/null || {
      say "installing needs root or sudo, and there is neither. Ask an administrator to run:"
      say "  apt-get install --no-install-recommends ${missing[*]%%|*}"
      exit 1
    }
    as_root=(sudo)
  fi

  log=$(mktemp)
  as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
  # An unreachable third-party source must not stop an installation from the others.
  "${as_root[@]}" update >"$log" 2>&1 || say "apt-get update had errors; going on with the package lists at hand"
  if ! "${as_root[@]}" install -y --no-install-recommends "${missing[@]%%|*}" >>"$log" 2>&1; then
    tail -n 20 "$log" >&2
    say "apt-get install failed; its last lines stand above"
    rm -f "$log"
    exit 1
  fi
  rm -f "$log"
}

command=${1:-}
(($# == 0)) || shift
(($# > 0)) || set -- build
for group in "$@"; do
  table | grep "^$group|" >/dev/null || { say "no group of packages is called '$group'"; exit 2; }
done
case $command in
  list) rows "$@" | cut -d'|' -f2 ;;
  explain) rows "$@" | tr '|' '\t' ;;
  install) install "$@" ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
