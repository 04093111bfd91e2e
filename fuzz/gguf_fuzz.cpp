#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "harness.h"
#include "io/gguf.h"
#include "io/gguf_model_args.h"

namespace {

using lille::fuzz::check_message;
using lille::fuzz::MemoryFile;
using lille::fuzz::require;

namespace fs = std::filesystem;

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
    check_message(error);
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
