#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/tensor_view.h"

namespace lille::test {

/// A member of a zip file to be written.
struct ZipMember {
  std::string name;
  std::string content;
  bool is_deflated = false;
};

enum class ZipEnd { kPlain, kZip64 };

/// A zip file as PyTorch lays it out: sizes and CRC follow the data, the local headers pad the data to 64
/// bytes, and the directory has both of its ends.
std::string zip_bytes(std::span<const ZipMember> members, ZipEnd end = ZipEnd::kZip64);

/// Where the local header and the header in the directory of a member begin.
std::size_t local_header(const std::string& zip, std::string_view name);
std::size_t directory_header(const std::string& zip, std::string_view name);

/// Little-endian numbers.
std::string le(uint64_t value, int n_bytes);
/// `bytes` with the number at `offset` replaced.
std::string with_number(std::string bytes, std::size_t offset, uint64_t value, int n_bytes);

/// Opcodes of protocol 2, as torch.save uses it.
std::string torch_str(std::string_view text);
std::string torch_int(int64_t value);
std::string torch_float(double value);
std::string torch_tuple(std::span<const int64_t> values);
/// A dict or, with `is_ordered`, an OrderedDict of items that are opcodes already: key, value, key, value.
std::string torch_dict(std::string_view items, bool is_ordered = false);

/// What a tensor's opcodes say.
struct TorchWindow {
  std::string storage_class = "FloatStorage";
  std::string storage = "0";
  int64_t n_storage = 0;
  int64_t offset = 0;
  std::vector<int64_t> shape = {};
  std::vector<int64_t> strides = {};
};
std::string torch_tensor(const TorchWindow& window);

/// A .pt file of a pickle's opcodes, to which PROTO and STOP are added, and its storages, of which the first
/// has the key "0".
std::string torch_zip(std::string_view opcodes, std::span<const std::string> storages,
                      bool is_deflated = false);

/// `config.json` as the model_args of Lille's training script.
std::string model_args_opcodes(const std::string& config);

/// A .pt file with tensors under `prefix` and their name without `transformer.`, as the training script
/// writes them: model_state_dict and, unless empty, model_args.
std::string torch_checkpoint(std::span<const TensorView> tensors, std::string_view model_args,
                             std::string_view prefix = "", bool is_deflated = false);

}  // namespace lille::test
