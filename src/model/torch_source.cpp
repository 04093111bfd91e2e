#include "model/torch_source.h"

#include "base/check.h"
#include "base/text.h"
#include "io/folder_files.h"
#include "io/safetensors.h"
#include "io/torch_file.h"
#include "model/lille.h"

namespace lille {
namespace {

class TorchSource : public ModelSource {
 public:
  TorchSource(const std::filesystem::path& path, const std::filesystem::path& file)
      : path_(path), file_(file), has_own_args_(file_.model_args().has_value()), args_(find_args()) {}

  const std::filesystem::path& path() const noexcept override { return path_; }

  std::string form() const override { return "PyTorch checkpoint"; }

  ModelArgs args() const override { return args_; }

  std::vector<NamedTensor> tensors(const WarningCallback& on_warning) const override {
    return sanitize(file_.tensors(), on_warning);
  }

  std::vector<std::filesystem::path> files() const override {
    if (has_own_args_) return {file_.path()};
    return {file_.path(), config_path()};
  }

 private:
  std::filesystem::path config_path() const { return file_.path().parent_path() / kConfigFile; }

  ModelArgs find_args() const {
    if (has_own_args_) return *file_.model_args();
    std::error_code ignored;
    if (!std::filesystem::exists(config_path(), ignored))
      raise(ErrorCode::kNotFound,
            "[load] {}: expected model_args in the file or a config.json beside it, got neither. Hint: save "
            "{{\"model_state_dict\": ..., \"model_args\": ...}} as Lille's train.py does, or put the model's "
            "config.json there",
            printable_path(file_.path()));
    return ModelArgs::load(config_path());
  }

  std::filesystem::path path_;
  TorchFile file_;
  bool has_own_args_;
  ModelArgs args_;
};

}  // namespace

std::unique_ptr<const ModelSource> open_torch(const std::filesystem::path& path,
                                              const std::filesystem::path& file) {
  return std::make_unique<TorchSource>(path, file);
}

bool is_torch_file(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored) &&
         (path.extension() == ".pt" || path.extension() == ".pth" || path.filename() == "pytorch_model.bin");
}

std::optional<std::filesystem::path> find_torch_file(const std::filesystem::path& folder) {
  std::error_code ignored;
  for (const char* other : {kWeightFile, kWeightIndexFile})
    if (std::filesystem::exists(folder / other, ignored)) return std::nullopt;
  for (const char* name : {"best_model.pt", "ckpt_final.pt"})
    if (std::filesystem::exists(folder / name, ignored)) return folder / name;
  return std::nullopt;
}

}  // namespace lille
