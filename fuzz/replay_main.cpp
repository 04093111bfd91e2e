// NAME FOLDER...: runs every file of the folders through one fuzz target, in the order of their names, so
// that what a fuzzer once found is tried with any compiler. Fails if a folder holds no file.

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t n_bytes);

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

/// The bytes stand in a block of exactly their size, so that a sanitizer sees a read behind the last one.
void replay(const fs::path& file) {
  const std::string text = lille::read_text_file(file, std::size_t{1} << 24);
  const std::vector<uint8_t> bytes(text.begin(), text.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: {} FOLDER...\n", argv[0]);
    return 2;
  }
  try {
    for (int folder_idx = 1; folder_idx < argc; ++folder_idx) {
      const std::vector<fs::path> files = files_of(argv[folder_idx]);
      if (files.empty()) {
        fmt::print(stderr, "{}: expected files, got none\n", argv[folder_idx]);
        return 1;
      }
      for (const fs::path& file : files) {
        // Before the run, since a target that finds something ends the process.
        fmt::print("{}\n", file.string());
        std::fflush(stdout);
        replay(file);
      }
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
