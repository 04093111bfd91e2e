#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "harness.h"
#include "io/safetensors.h"

namespace {

using lille::fuzz::check_message;
using lille::fuzz::MemoryFile;
using lille::fuzz::require;

namespace fs = std::filesystem;

/// A checkpoint folder with the shards `a` and `b`, whose index is a memory file.
class ShardFolder {
 public:
  explicit ShardFolder(const MemoryFile& index) {
    std::string pattern = (fs::temp_directory_path() / "lille-fuzz-XXXXXX").string();
    require(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
    write_shard("a");
    write_shard("b");
    fs::create_symlink(index.path(), path_ / "model.safetensors.index.json");
  }
  ~ShardFolder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  void write_shard(const std::string& name) const {
    const std::string data(4, 'x');
    const lille::TensorToSave tensor{name, lille::DType::kU8, {4}, std::as_bytes(std::span(data))};
    lille::save_safetensors(path_ / name, std::span(&tensor, 1));
  }

  fs::path path_;
};

void check_tensors(std::span<const lille::TensorView> tensors) {
  volatile unsigned sum = 0;
  for (const lille::TensorView& tensor : tensors) {
    require(static_cast<std::size_t>(tensor.n_elements() * lille::dtype_bytes(tensor.dtype)) ==
            tensor.bytes.size());
    if (!tensor.bytes.empty())
      sum = sum + std::to_integer<unsigned>(tensor.bytes.front()) +
            std::to_integer<unsigned>(tensor.bytes.back());
  }
}

void read_file(const fs::path& path) {
  try {
    const lille::SafetensorsFile file(path);
    check_tensors(file.tensors());
    for (const lille::TensorView& tensor : file.tensors()) require(&file.at(tensor.name) == &tensor);
    require(!file.contains("no tensor has this name"));
  } catch (const lille::Error& error) {
    check_message(error);
  }
}

void read_folder(const fs::path& path) {
  try {
    check_tensors(lille::Checkpoint(path).tensors());
  } catch (const lille::Error& error) {
    check_message(error);
  }
}

/// `HEADER` 0xff `DATA` as a file with the right length in front, which mutations alone would seldom hit.
std::string with_length(std::string_view input) {
  const std::size_t header_bytes = std::min(input.find('\xff'), input.size());
  const uint64_t length = header_bytes;
  std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
  file += input.substr(0, header_bytes);
  file += input.substr(std::min(header_bytes + 1, input.size()));
  return file;
}

}  // namespace

/// The input is a .safetensors file; one that begins with `{` is also a header with its data and an index of
/// shards.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t n_bytes) {
  static const MemoryFile memory;
  static const ShardFolder folder(memory);
  const std::string_view input(reinterpret_cast<const char*>(data), n_bytes);
  memory.fill(input);
  read_file(memory.path());
  if (!input.starts_with('{')) return 0;
  read_folder(folder.path());
  memory.fill(with_length(input));
  read_file(memory.path());
  return 0;
}
