#!/usr/bin/env bash
# includes.sh ROOT LAYER...: includes point down the list of layers (lowest first) only, public headers need nothing
# but the standard library, and the operating system is called from the lowest layer only.
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
layers=("$@")

# quoted FILE and angled FILE: "LINE NAME" for each include.
quoted() { sed -nE 's|^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]*)".*|\1|p' "$1"; }
angled() { sed -nE 's|^[[:space:]]*#[[:space:]]*include[[:space:]]*<([^>]*)>.*|\1|p' "$1"; }

allowed=" lille"
for layer in "${layers[@]}"; do
  allowed+=" $layer"
  while read -r file; do
    while read -r name; do
      [[ $name == lille.h || "$allowed " == *" ${name%%/*} "* && $name == */* ]] ||
        violation includes "$file" "includes \"$name\", which does not stand at or below layer $layer"
    done < <(quoted "$file")
  done < <(cpp_files "src/$layer")
done

while read -r folder; do
  [[ " ${layers[*]} " == *" ${folder##*/} "* ]] || violation includes "$folder" "is not in the list of layers"
done < <(find src -mindepth 1 -maxdepth 1 -type d)

while read -r file; do
  while read -r name; do
    [[ $name == lille/* ]] || violation includes "$file" "a public header includes \"$name\""
  done < <(quoted "$file")
  while read -r name; do
    [[ $name != *[./]* ]] || violation includes "$file" "a public header includes <$name>, which is not the standard library's"
  done < <(angled "$file")
done < <(cpp_files include)

system='^(sys/.*|linux/.*|asm/.*|arpa/.*|net.*/.*|csignal|(signal|sched|termios|unistd|fcntl|pthread|dlfcn|poll|execinfo|ucontext)\.h)$'
while read -r file; do
  [[ $file != "src/${layers[0]}/"* ]] || continue
  while read -r name; do
    [[ ! $name =~ $system ]] || violation system "$file" "includes <$name>; system calls stand in src/${layers[0]}"
  done < <(angled "$file")
done < <(cpp_files src)

finish includes system
