#include "model/gguf_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "io/gguf.h"
#include "io/gguf_model_args.h"
#include "model/gguf_names.h"
#include "model/lille.h"

namespace lille {
namespace {

/// llama.cpp stores factors on the rotary frequencies in this; all of them 1 means none.
constexpr std::string_view kRopeFreqs = "rope_freqs.weight";

bool scales_frequencies(const TensorView& factors) {
  if (factors.dtype != DType::kF32) return true;
  for (int64_t idx = 0; idx < factors.n_elements(); ++idx)
    if (load_unaligned<float>(factors.bytes.data() + 4 * idx) != 1.0F) return true;
  return false;
}

class GgufSource : public ModelSource {
 public:
  explicit GgufSource(const std::filesystem::path& path) : file_(path) {}

  const std::filesystem::path& path() const noexcept override { return file_.path(); }

  std::string form() const override {
    const std::string_view types = gguf_file_type_name(file_);
    return fmt::format("GGUF version {}{}{}", file_.version(), types.empty() ? "" : ", ", types);
  }

  ModelArgs args() const override { return model_args_from_gguf(file_); }

  std::vector<NamedTensor> tensors(const WarningCallback& on_warning) const override {
    std::vector<NamedTensor> named;
    for (const TensorView& tensor : file_.tensors()) {
      if (tensor.name == kRopeFreqs) {
        if (scales_frequencies(tensor) && on_warning)
          on_warning(
              fmt::format("{}: {} changes the rotary frequencies, which no Lille does. It is left out, "
                          "and the logits are not those of the program that wrote the file.",
                          tensor.file, tensor.name));
        continue;
      }
      named.push_back({model_name_of_gguf(tensor.name), tensor});
    }
    return keep_parameters(std::move(named), on_warning);
  }

  bool has_permuted_qk() const override { return lille::has_permuted_qk(file_); }

  bool has_widened_norms() const override { return true; }

  std::vector<std::filesystem::path> files() const override { return {file_.path()}; }

 private:
  GgufFile file_;
};

}  // namespace

std::string model_name_of_gguf(std::string_view name) {
  for (const GgufNameRow& row : kGgufNames)
    if (row.gguf == name) return fmt::format("{}.weight", row.model);
  constexpr std::string_view kBlock = "blk.";
  constexpr std::string_view kWeight = ".weight";
  const std::size_t dot = name.starts_with(kBlock) ? name.find('.', kBlock.size()) : name.npos;
  if (dot == name.npos || !name.ends_with(kWeight) || name.size() < dot + 1 + kWeight.size())
    return std::string(name);
  const std::string_view number = name.substr(kBlock.size(), dot - kBlock.size());
  const std::string_view rest = name.substr(dot + 1, name.size() - dot - 1 - kWeight.size());
  for (const GgufNameRow& row : kGgufBlockNames)
    if (row.gguf == rest) return fmt::format("transformer.layers.{}.{}.weight", number, row.model);
  // Tables of rotary positions go by the name that keep_parameters knows.
  if (rest == "attn_rot_embd") return fmt::format("transformer.layers.{}.rotary_emb", number);
  return std::string(name);
}

std::unique_ptr<const ModelSource> open_gguf(const std::filesystem::path& path) {
  return std::make_unique<GgufSource>(path);
}

}  // namespace lille
