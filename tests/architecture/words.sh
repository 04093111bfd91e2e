#!/usr/bin/env bash
# words.sh ROOT LAYER...: what must not stand in the project's text. The given layers are the library, which neither
# prints nor ends the process nor reads the environment.
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
layers=("$@")

all() { project_files; }
code() { project_files | grep -E '\.(cpp|h|cmake)$|CMakeLists\.txt$|CMakePresets\.json$' || true; }
library() { cpp_files "${layers[@]/#/src/}" include; }

# forbid RULE FILES PATTERN MESSAGE: no line of FILES (one of the functions above) matches; in the library a line that
# is only a comment may name what is forbidden.
forbid() {
  local file line_number text
  while IFS=: read -r file line_number text; do
    [[ $2 == library && $text =~ ^[[:space:]]*// ]] || violation "$1" "$file" "line $line_number: $4: $text"
  done < <("$2" | xargs -r -d '\n' grep -nIHE -e "$3")
}

forbid unfinished all '\b(T[O]DO|F[I]XME|X[X]X)\b' "unfinished work belongs in an issue"
forbid machine_path all '(^|[^[:alnum:]._-])/(work|home|root|farm|tmp)/' "a path of one machine"
forbid fast_math code '-f[f]ast-math|-O[f]ast' "results would depend on the compiler's mood"
forbid assert library '\bassert[[:space:]]*\(' "input is checked with an Error, invariants with LILLE_CHECK or LILLE_DCHECK"
forbid prints library '\b(v?f?printf|f?puts|f?putc|putchar|perror)[[:space:]]*\(|std::(cout|cerr|clog)|fmt::print' "the library never prints"
forbid exits library '\b(_?exit|_Exit|quick_exit|abort|std::terminate)[[:space:]]*\(' "the library never ends the process"
forbid environment library '\b(secure_)?getenv[[:space:]]*\(|\benviron\b' "the library never reads the environment"
forbid using_namespace library 'using[[:space:]]+namespace' "names are written out"

finish unfinished machine_path fast_math assert prints exits environment using_namespace
