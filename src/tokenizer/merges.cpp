#include "tokenizer/merges.h"

#include "base/check.h"
#include "tokenizer/quote.h"

namespace lille {
namespace {

constexpr int32_t kNumBytes = 256;

/// The parts of a token's bytes that are left when every merge of a lower rank is done.
std::vector<std::string_view> parts_below(const Vocabulary& vocabulary, int32_t id) {
  const std::string_view bytes = vocabulary.bytes(id);
  std::vector<std::string_view> parts;
  for (std::size_t pos = 0; pos < bytes.size(); ++pos) parts.push_back(bytes.substr(pos, 1));
  const auto joined = [&](std::size_t idx) {
    return std::string_view(parts[idx].data(), parts[idx].size() + parts[idx + 1].size());
  };
  while (parts.size() > 2) {
    int32_t lowest = id;
    std::size_t lowest_idx = 0;
    for (std::size_t idx = 0; idx + 1 < parts.size(); ++idx) {
      const int32_t rank = vocabulary.find(joined(idx));
      if (rank >= lowest) continue;
      lowest = rank;
      lowest_idx = idx;
    }
    if (lowest == id) break;
    parts[lowest_idx] = joined(lowest_idx);
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(lowest_idx) + 1);
  }
  return parts;
}

}  // namespace

std::vector<Merge> merges_of(const Vocabulary& vocabulary) {
  std::vector<Merge> merges;
  for (int32_t id = kNumBytes; id < vocabulary.n_tokens() && !vocabulary.is_special(id); ++id) {
    const std::vector<std::string_view> parts = parts_below(vocabulary, id);
    if (parts.size() != 2)
      raise(ErrorCode::kUnsupported,
            "[save_tokenizer] token {} {}: expected a merge of two tokens of lower rank, got {} parts. Hint: "
            "keep the tokenizer in the file it came from",
            id, quote(vocabulary.bytes(id)), parts.size());
    merges.push_back({vocabulary.find(parts[0]), vocabulary.find(parts[1])});
  }
  return merges;
}

}  // namespace lille
