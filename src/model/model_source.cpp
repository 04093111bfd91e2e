#include "model/model_source.h"

#include "base/check.h"
#include "base/text.h"
#include "io/folder_files.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "model/gguf_source.h"
#include "model/lille.h"
#include "model/torch_source.h"

namespace lille {
namespace {

class FolderSource : public ModelSource {
 public:
  // The configuration first: a folder of something else is told by what it is not.
  explicit FolderSource(const std::filesystem::path& folder)
      : folder_(folder), args_(ModelArgs::load(folder / kConfigFile)), checkpoint_(folder) {}

  const std::filesystem::path& path() const noexcept override { return folder_; }

  std::string form() const override {
    return args_.quantization ? "MLX-quantised folder" : "safetensors folder";
  }

  ModelArgs args() const override { return args_; }

  std::vector<NamedTensor> tensors(const WarningCallback& on_warning) const override {
    return sanitize(checkpoint_.tensors(), on_warning);
  }

  std::vector<std::filesystem::path> files() const override {
    std::vector<std::filesystem::path> files;
    for (const SafetensorsFile& file : checkpoint_.files()) files.push_back(file.path());
    files.push_back(folder_ / kConfigFile);
    return files;
  }

 private:
  std::filesystem::path folder_;
  ModelArgs args_;
  Checkpoint checkpoint_;
};

}  // namespace

std::unique_ptr<const ModelSource> ModelSource::open(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    const std::optional<std::filesystem::path> torch_file = find_torch_file(path);
    if (torch_file) return open_torch(path, *torch_file);
    return std::make_unique<FolderSource>(path);
  }
  if (is_torch_file(path)) return open_torch(path, path);
  if (GgufFile::is_gguf(path)) return open_gguf(path);
  raise(ErrorCode::kNotFound,
        "[load] {}: expected a folder with config.json, model.safetensors and tokenizer files, a GGUF file, "
        "or a .pt file of PyTorch, got {}. Hint: is the path right?",
        printable_path(path),
        std::filesystem::exists(path, ignored) ? "a file of another kind" : "nothing there");
}

}  // namespace lille
