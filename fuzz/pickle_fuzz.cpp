#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/utf8.h"
#include "lille/error.h"
#include "tokenizer/pickle.h"
#include "tokenizer/vocabulary_files.h"

namespace {

/// A file is read, or refused with a message that is one line of UTF-8; anything else is a finding.
template <typename Action>
void read_or_refuse(Action&& action) {
  try {
    action();
  } catch (const lille::Error& error) {
    const std::string_view message = error.what();
    const bool is_right_kind =
        error.code() == lille::ErrorCode::kCorruptFile || error.code() == lille::ErrorCode::kUnsupported;
    if (!is_right_kind || !lille::is_valid_utf8(message) || message.find('\n') != std::string_view::npos)
      std::abort();
  }
}

/// Touches every byte that a value views, so that a view outside the file is seen.
uint64_t checksum(const lille::PickleValue& value) {
  uint64_t sum = static_cast<uint64_t>(value.integer());
  for (const char byte : value.text()) sum = sum * 31 + static_cast<unsigned char>(byte);
  if (value.kind() == lille::PickleValue::Kind::kDict)
    for (const auto& item : value.dict().items()) sum = sum * 31 + checksum(item.key) + checksum(item.value);
  return sum;
}

volatile uint64_t seen_checksum;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  const std::string_view text(reinterpret_cast<const char*>(data), n_bytes);
  read_or_refuse([&] { seen_checksum = checksum(lille::parse_pickle(text, "fuzz.pkl")); });
  read_or_refuse([&] { lille::read_hastings_pickle({text, "fuzz.pkl"}); });
  return 0;
}
