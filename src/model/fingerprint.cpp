#include "model/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/content_hash.h"

namespace lille {
namespace {

// What of config.json decides keys and values; a longer context changes none.
std::string computed_args(ModelArgs args) {
  args.block_size = 0;
  args.rope_layout.reset();
  return args.to_json();
}

}  // namespace

std::string fingerprint(const ModelParts& parts) {
  std::vector<const TensorView*> tensors;
  for (const TensorView& tensor : parts.checkpoint.tensors()) tensors.push_back(&tensor);
  std::ranges::sort(tensors, {}, [](const TensorView* tensor) -> std::string_view { return tensor->name; });
  ContentHash hash;
  hash.update(computed_args(parts.args));
  for (const TensorView* tensor : tensors) {
    // The length keeps a name from being read on into what follows it.
    hash.update(fmt::format("{} {} {} {}\n", tensor->name.size(), tensor->name, dtype_name(tensor->dtype),
                            shape_text(tensor->shape)));
    hash.update(tensor->bytes);
  }
  return hash.digits();
}

}  // namespace lille
