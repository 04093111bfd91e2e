#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "io/gguf.h"
#include "io/gguf_model_args.h"
#include "lille/error.h"

namespace {

namespace fs = std::filesystem;

void require(bool condition) {
  if (!condition) std::abort();
}

/// A file in memory that has a path.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("fuzz", MFD_CLOEXEC)) { require(fd_ >= 0); }
  fs::path path() const { return "/proc/self/fd/" + std::to_string(fd_); }
  void fill(std::string_view content) const {
    require(ftruncate(fd_, 0) == 0);
    require(pwrite(fd_, content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()));
  }

 private:
  int fd_;
};

volatile unsigned sink = 0;

void touch(std::span<const std::byte> bytes) {
  for (const std::byte byte : bytes) sink = sink + std::to_integer<unsigned>(byte);
}

void touch(const lille::GgufArray& array) {
  touch(array.numbers);
  for (const std::string_view text : array.strings) touch(std::as_bytes(std::span(text)));
  for (const lille::GgufArray& inner : array.arrays) touch(inner);
}

void check_tensors(const lille::GgufFile& file) {
  for (const lille::TensorView& tensor : file.tensors()) {
    require(static_cast<std::size_t>(tensor.n_elements() / lille::dtype_block_elements(tensor.dtype) *
                                     lille::dtype_bytes(tensor.dtype)) == tensor.bytes.size());
    require(tensor.shape.back() % lille::dtype_block_elements(tensor.dtype) == 0);
    touch(tensor.bytes);
    require(file.find(tensor.name) == &tensor);
  }
}

/// Whatever stands in a message must be one line of UTF-8.
template <typename Action>
void expect_answer_or_message(Action action) {
  try {
    action();
  } catch (const lille::Error& error) {
    const std::string_view message = error.what();
    require(lille::is_valid_utf8(message) && message.find('\n') == message.npos && message.size() < 4000);
  }
}

void check_metadata(const lille::GgufFile& file) {
  for (const auto& [key, value] : file.metadata()) {
    if (const auto* array = std::get_if<lille::GgufArray>(&value)) touch(*array);
    expect_answer_or_message([&, &name = key] { file.whole(name); });
    expect_answer_or_message([&, &name = key] { file.real(name); });
    expect_answer_or_message([&, &name = key] { file.text(name); });
    expect_answer_or_message([&, &name = key] { file.array(name, lille::GgufType::kString); });
  }
}

}  // namespace

/// The input is a .gguf file.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t n_bytes) {
  static const MemoryFile memory;
  memory.fill({reinterpret_cast<const char*>(data), n_bytes});
  expect_answer_or_message([] {
    const lille::GgufFile file(memory.path());
    check_tensors(file);
    check_metadata(file);
    expect_answer_or_message([&file] { lille::model_args_from_gguf(file); });
  });
  return 0;
}
