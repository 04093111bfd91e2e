#include "base/process.h"

#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"

namespace lille {
namespace {

constexpr std::size_t kMaxProcBytes = 16 << 20;

/// A file of /proc, empty where it cannot be read.
std::string read_proc(const char* path) {
  try {
    return read_text_file(path, kMaxProcBytes);
  } catch (const Error&) {
    return {};
  }
}

/// The rest of the first line that begins with `label`, without the blanks and the colon after it.
std::optional<std::string_view> value_of_line(std::string_view text, std::string_view label) {
  while (!text.empty()) {
    const std::size_t line_bytes = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, line_bytes);
    text.remove_prefix(std::min(line_bytes + 1, text.size()));
    if (!line.starts_with(label)) continue;
    line.remove_prefix(label.size());
    line.remove_prefix(std::min(line.find_first_not_of(" \t:"), line.size()));
    return line;
  }
  return std::nullopt;
}

/// A line such as "Private_Clean:   12 kB" in bytes.
int64_t bytes_of_line(std::string_view text, std::string_view label) {
  const std::string_view value = value_of_line(text, label).value_or("");
  int64_t n_kib = 0;
  std::from_chars(value.data(), value.data() + value.size(), n_kib);
  return n_kib * 1024;
}

}  // namespace

int64_t peak_memory_bytes() noexcept {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

std::optional<ResidentMemory> resident_memory() {
  const std::string rollup = read_proc("/proc/self/smaps_rollup");
  if (!value_of_line(rollup, "Rss:")) return std::nullopt;
  return ResidentMemory{
      .private_bytes = bytes_of_line(rollup, "Private_Clean:") + bytes_of_line(rollup, "Private_Dirty:"),
      .shared_bytes = bytes_of_line(rollup, "Shared_Clean:") + bytes_of_line(rollup, "Shared_Dirty:")};
}

FileIdentity file_identity(const std::filesystem::path& path) {
  struct stat status {};
  std::error_code failed;
  const std::filesystem::path canonical = std::filesystem::canonical(path, failed);
  if (failed || ::stat(canonical.c_str(), &status) != 0) {
    const int reason = failed ? failed.value() : errno;
    raise(reason == ENOENT || reason == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo,
          "[file_identity] {}: {}. Hint: check the path", printable_path(path), std::strerror(reason));
  }
  constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
  return FileIdentity{
      .path = canonical.string(),
      .n_bytes = status.st_size,
      .mtime_ns = int64_t{status.st_mtim.tv_sec} * kNanosecondsPerSecond + status.st_mtim.tv_nsec};
}

std::string cpu_model_name() {
  const std::string cpuinfo = read_proc("/proc/cpuinfo");
  if (const auto name = value_of_line(cpuinfo, "model name")) return printable(*name);
  // ARM processors have numbers only, but the boards they are on have names, which end with a zero byte.
  const std::string board = read_proc("/proc/device-tree/model");
  return board.empty() ? "unknown" : printable(board.c_str());
}

HardwareCapabilities hardware_capabilities() noexcept {
  return {::getauxval(AT_HWCAP), ::getauxval(AT_HWCAP2)};
}

int64_t physical_memory_bytes() noexcept {
  const int64_t n_pages = ::sysconf(_SC_PHYS_PAGES);
  const int64_t page_bytes = ::sysconf(_SC_PAGESIZE);
  return n_pages > 0 && page_bytes > 0 ? n_pages * page_bytes : 0;
}

bool request_tile_registers() noexcept {
#if defined(__linux__) && defined(__x86_64__)
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace lille
