#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "harness.h"
#include "io/pickle.h"
#include "io/torch_state.h"
#include "tokenizer/vocabulary_files.h"

namespace {

/// A file is read, or refused with a message that is one line of UTF-8; anything else is a finding.
template <typename Action>
void read_or_refuse(Action&& action) {
  try {
    action();
  } catch (const lille::Error& error) {
    lille::fuzz::check_refusal(error);
  }
}

/// Touches every byte that a tree views, so that a view outside the file is seen.
uint64_t checksum(const lille::PickleValue& value) {
  uint64_t sum = static_cast<uint64_t>(value.integer);
  for (const char byte : value.text) sum = sum * 31 + static_cast<unsigned char>(byte);
  for (const lille::PickleItem& item : value.items)
    sum = sum * 31 + (item.key == nullptr ? 0 : checksum(*item.key)) + checksum(*item.value);
  return sum;
}

/// What a tensor promises about its storage holds.
void check_tensors(const lille::TorchState& state) {
  for (const lille::TorchTensor& tensor : state.tensors) {
    if (tensor.shape.size() != tensor.strides.size() || tensor.n_elements() > tensor.n_storage) std::abort();
    if (tensor.n_elements() == 0) continue;
    int64_t last = tensor.offset;
    for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis)
      last += (tensor.shape[axis] - 1) * tensor.strides[axis];
    if (last < 0 || last >= tensor.n_storage) std::abort();
  }
}

volatile uint64_t seen_checksum;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  const std::string_view text(reinterpret_cast<const char*>(data), n_bytes);
  read_or_refuse([&] { seen_checksum = checksum(lille::parse_pickle(text, "fuzz.pkl").root()); });
  read_or_refuse([&] { lille::read_hastings_pickle({text, "fuzz.pkl"}); });
  read_or_refuse([&] { check_tensors(lille::read_torch_state(text, "fuzz.pkl")); });
  return 0;
}
