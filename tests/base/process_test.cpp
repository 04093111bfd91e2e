#include "base/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "support.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

TEST(Process, PeakMemoryRisesWithUse) {
  constexpr std::size_t kBytes = 64 << 20;
  const int64_t before = resident_memory()->private_bytes;
  std::vector<char> memory(kBytes, 'x');
  EXPECT_EQ(memory.back(), 'x');
  EXPECT_GE(peak_memory_bytes(), static_cast<int64_t>(kBytes));
  // Half, since the system may count pages of the allocation late.
  EXPECT_GE(resident_memory()->private_bytes - before, static_cast<int64_t>(kBytes) / 2);
}

TEST(Process, IdentityFollowsSizeAndTime) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.write("model", "12345");
  const FileIdentity identity = file_identity(path);
  EXPECT_EQ(identity.n_bytes, 5);
  EXPECT_EQ(identity.path, fs::canonical(path).string());
  EXPECT_EQ(file_identity(path), identity);

  const timespec times[2] = {{.tv_sec = 1'000'000'000, .tv_nsec = 7},
                             {.tv_sec = 1'000'000'000, .tv_nsec = 7}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  EXPECT_EQ(file_identity(path).mtime_ns, 1'000'000'000'000'000'007);
  EXPECT_NE(file_identity(path), identity);
}

TEST(Process, IdentityIsThatOfTheFileBehindALink) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.write("model", "12345");
  fs::create_symlink(path, folder.path() / "link");
  EXPECT_EQ(file_identity(folder.path() / "link"), file_identity(path));
  EXPECT_EQ(file_identity(folder.path() / "." / "model"), file_identity(path));
}

TEST(Process, IdentityOfAMissingFileIsAnError) {
  test::expect_error(ErrorCode::kNotFound, "nowhere.bin", [] { file_identity("nowhere.bin"); });
}

TEST(Process, TilesAreNotGivenToAProcessorWithoutThem) {
  const bool is_granted = request_tile_registers();
  EXPECT_EQ(request_tile_registers(), is_granted);
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && !line.starts_with("flags")) {
  }
  EXPECT_TRUE(!is_granted || line.find(" amx_tile") != std::string::npos);
}

TEST(Process, KnowsTheMachine) {
  EXPECT_FALSE(cpu_model_name().empty());
  EXPECT_EQ(cpu_model_name().find('\n'), std::string::npos);
  EXPECT_NE(hardware_capabilities().first, 0u);
  EXPECT_GT(physical_memory_bytes(), int64_t{64} << 20);
}

}  // namespace
}  // namespace lille
