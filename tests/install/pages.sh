#!/usr/bin/env bash
# pages.sh TREE BINDIR MANDOC: completions and manual pages are in place; each command has a page and mandoc finds no
# fault with it.
set -euo pipefail
cd "$1/share"
program=$1/$2/lille mandoc=$3
n_failed=0
fail() { printf '%s\n' "$1"; n_failed=$((n_failed + 1)); }

cmp bash-completion/completions/lille <("$program" completion bash) || fail "the completion of bash is another"
cmp zsh/site-functions/_lille <("$program" completion zsh) || fail "the completion of zsh is another"
cmp fish/vendor_completions.d/lille.fish <("$program" completion fish) || fail "the completion of fish is another"

mapfile -t commands < <("$program" --help | sed -nE '/^Commands:/,$ s/^  ([a-z]+) .*/\1/p')
((${#commands[@]} >= 8)) || fail "the help names only ${#commands[@]} commands"
for command in "${commands[@]}"; do
  [[ -s man/man1/lille-$command.1 ]] || fail "there is no page lille-$command.1"
done
for page in man/man1/*.1; do
  # A page of a release has no date of its own.
  faults=$("$mandoc" -T lint -W warning "$page" | grep -v 'missing date' || true)
  [[ -z $faults ]] || fail "$faults"
done
((n_failed == 0)) || exit 1
