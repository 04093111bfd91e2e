# Shared by the rules of this folder. A rule is a script `NAME.sh ROOT [argument...]` that prints a line for each
# violation and exits 1 if there was one. Files that may break a rule are listed, with the reason, in exceptions.txt.
# shellcheck shell=bash
set -euo pipefail

root=$1
shift
cd "$root"
exceptions=tests/architecture/exceptions.txt
n_violations=0
used=""

# The project's text files, without what is generated, trained or golden.
project_files() {
  find . \( -path ./.git -o -path ./build -o -path ./models -o -path ./tests/golden \
    -o -path ./fuzz/corpus \) -prune -o -type f -print | sed 's|^\./||' | sort
}

# C++ files below the given folders; a folder that does not exist has none.
cpp_files() {
  local folder
  for folder in "$@"; do
    [[ ! -d $folder ]] || find "$folder" -type f \( -name '*.cpp' -o -name '*.h' \)
  done | sort
}

# violation RULE FILE MESSAGE: a violation, unless exceptions.txt excuses the file from the rule.
violation() {
  if [[ -f $exceptions ]] && grep -q "^$1 $2 " "$exceptions"; then
    used+="$1 $2"$'\n'
  else
    printf '%s: %s\n' "$2" "$3"
    n_violations=$((n_violations + 1))
  fi
}

# finish RULE...: ends a script that has checked these rules. An exception that excuses nothing is a violation too.
finish() {
  local rule file reason
  while read -r rule file reason; do
    [[ " $* " == *" $rule "* ]] || continue
    [[ -n $reason ]] || { printf '%s: %s %s has no reason\n' "$exceptions" "$rule" "$file"; n_violations=$((n_violations + 1)); }
    grep -qxF "$rule $file" <<<"$used" || {
      printf '%s: %s %s excuses nothing\n' "$exceptions" "$rule" "$file"
      n_violations=$((n_violations + 1))
    }
  done < <([[ ! -f $exceptions ]] || grep -v '^#' "$exceptions")
  ((n_violations == 0)) || exit 1
}
