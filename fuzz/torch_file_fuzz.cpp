#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "harness.h"
#include "io/torch_file.h"

namespace {

using lille::fuzz::MemoryFile;
using lille::fuzz::require;

/// A file is read, or refused with a message that is one line of UTF-8; anything else is a finding.
template <typename Action>
void read_or_refuse(Action&& action) {
  try {
    action();
  } catch (const lille::Error& error) {
    lille::fuzz::check_refusal(error);
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
  memory.fill({reinterpret_cast<const char*>(data), n_bytes});
  read_or_refuse([] {
    const lille::TorchFile file(memory.path());
    touch(file);
    read_or_refuse([&] { file.model_args(); });
    read_or_refuse([&] { file.check_content(); });
  });
  return 0;
}
