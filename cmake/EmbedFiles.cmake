# cmake -DOUTPUT=FILE.cpp -DFOLDER=FOLDER -DFILES=a;b -P EmbedFiles.cmake: the files of a folder as constants of a C++
# source, in the table kEmbeddedFiles of src/server/web.h: name, bytes, and a hash of these as a version.
set(arrays "")
set(rows "")
foreach(name IN LISTS FILES)
  file(READ ${FOLDER}/${name} bytes HEX)
  file(SHA256 ${FOLDER}/${name} hash)
  string(SUBSTRING ${hash} 0 16 version)
  string(LENGTH "${bytes}" n_digits)
  math(EXPR n_bytes "${n_digits} / 2")
  if(n_bytes EQUAL 0)
    message(FATAL_ERROR "${FOLDER}/${name} is empty")
  endif()
  string(MAKE_C_IDENTIFIER ${name} identifier)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
  string(APPEND arrays "constexpr char k_${identifier}[] = {${bytes}};\n")
  string(APPEND rows "    {\"${name}\", {k_${identifier}, ${n_bytes}}, \"${version}\"},\n")
endforeach()
list(LENGTH FILES n_files)
file(WRITE ${OUTPUT} "// Made by cmake/EmbedFiles.cmake.
#include \"server/web.h\"

namespace lille {
namespace {
${arrays}
constexpr EmbeddedFile kFiles[] = {
${rows}};
}  // namespace

const std::span<const EmbeddedFile> kEmbeddedFiles = kFiles;

}  // namespace lille
")
