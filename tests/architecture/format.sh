#!/usr/bin/env bash
# format.sh ROOT CLANG_FORMAT: C++ files are laid out as .clang-format says.
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
clang_format=$1

cpp_files src include python tests bench fuzz | xargs -d '\n' "$clang_format" --dry-run --Werror --ferror-limit=1
