#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "io/torch_file.h"
#include "lille/error.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

/// A file in memory that has a path.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("fuzz", MFD_CLOEXEC)) { require(fd_ >= 0); }
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(fd_); }
  void fill(const uint8_t* data, std::size_t n_bytes) const {
    require(ftruncate(fd_, 0) == 0);
    require(pwrite(fd_, data, n_bytes, 0) == static_cast<ssize_t>(n_bytes));
  }

 private:
  int fd_;
};

/// A file is read, or refused with a message that is one line of UTF-8; anything else is a finding.
template <typename Action>
void read_or_refuse(Action&& action) {
  try {
    action();
  } catch (const lille::Error& error) {
    const std::string_view message = error.what();
    require(error.code() == lille::ErrorCode::kCorruptFile || error.code() == lille::ErrorCode::kUnsupported);
    require(lille::is_valid_utf8(message) && message.find('\n') == message.npos && message.size() < 4000);
  }
}

volatile uint64_t seen_checksum;

void touch(const lille::TorchFile& file) {
  uint64_t sum = 0;
  for (const lille::TensorView& tensor : file.tensors()) {
    require(static_cast<std::size_t>(tensor.n_elements() * lille::dtype_bytes(tensor.dtype)) ==
            tensor.bytes.size());
    for (const std::byte byte : tensor.bytes) sum = sum * 31 + std::to_integer<uint64_t>(byte);
  }
  seen_checksum = sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t n_bytes) {
  static const MemoryFile memory;
  memory.fill(data, n_bytes);
  read_or_refuse([] {
    const lille::TorchFile file(memory.path());
    touch(file);
    read_or_refuse([&] { file.model_args(); });
    read_or_refuse([&] { file.check_content(); });
  });
  return 0;
}
