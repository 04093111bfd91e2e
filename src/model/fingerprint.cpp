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
  std::vector<NamedTensor> tensors = parts.source->tensors({});
  std::ranges::sort(tensors, {}, &NamedTensor::name);
  ContentHash hash;
  hash.update(computed_args(parts.args));
  hash.update(parts.source->has_permuted_qk() ? "rows of q and k permuted\n" : "");
  for (const NamedTensor& tensor : tensors) {
    // The length keeps a name from being read on into what follows it.
    hash.update(fmt::format("{} {} {} {}\n", tensor.name.size(), tensor.name, dtype_name(tensor.view.dtype),
                            shape_text(tensor.view.shape)));
    hash.update(tensor.view.bytes);
  }
  return hash.digits();
}

}  // namespace lille
