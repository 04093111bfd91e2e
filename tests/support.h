#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "lille/error.h"

namespace lille::test {

/// A path inside the repository.
inline std::filesystem::path source_path(std::string_view relative) {
  return std::filesystem::path(LILLE_SOURCE_DIR) / relative;
}

/// A path inside the folder of large expected outputs that stands beside the repository and is not part of a
/// clone.
inline std::filesystem::path shared_path(std::string_view relative) {
  return std::filesystem::path(LILLE_SOURCE_DIR) / "../shared" / relative;
}

inline bool shared_is_missing() { return !std::filesystem::exists(shared_path("golden/README.md")); }

inline bool shared_is_required() {
  const char* value = std::getenv("LILLE_REQUIRE_SHARED");
  return value != nullptr && std::string_view(value) == "1";
}

/// A folder of its own for one test, removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lille-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a folder for the test");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  /// Writes a file into the folder and returns its path.
  std::filesystem::path write(std::string_view name, std::string_view content) const {
    const std::filesystem::path file = path_ / name;
    std::ofstream(file, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
    return file;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// Expects that `action` throws a lille::Error with this code whose message contains `part`.
template <typename Action>
void expect_error(ErrorCode code, std::string_view part, Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos)
        << "expected \"" << part << "\" in: " << error.what();
    return;
  }
  ADD_FAILURE() << "expected an error with \"" << part << "\", nothing was thrown";
}

}  // namespace lille::test

/// Ends the test as skipped where ../shared is missing; where LILLE_REQUIRE_SHARED=1 says it must be there,
/// as failed.
#define LILLE_NEED_SHARED()                                                                   \
  do {                                                                                        \
    if (::lille::test::shared_is_missing()) {                                                 \
      if (::lille::test::shared_is_required()) FAIL() << "../shared is required and missing"; \
      GTEST_SKIP() << "needs ../shared, which a clone does not have";                         \
    }                                                                                         \
  } while (false)
