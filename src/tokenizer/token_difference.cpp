#include "tokenizer/token_difference.h"

#include <fmt/format.h>

#include "base/text.h"

namespace lille {

std::string token_difference(const Tokenizer& a, std::string_view name_a, const Tokenizer& b,
                             std::string_view name_b) {
  if (a.vocab_size() != b.vocab_size())
    return fmt::format("{} tokens in {}, {} in {}", a.vocab_size(), name_a, b.vocab_size(), name_b);
  for (int64_t idx = 0; idx < a.vocab_size(); ++idx) {
    const auto id = static_cast<int32_t>(idx);
    if (a.token_bytes(id) != b.token_bytes(id))
      return fmt::format("token {} is \"{}\" in {}, \"{}\" in {}", id, printable(a.token_bytes(id)), name_a,
                         printable(b.token_bytes(id)), name_b);
    if (a.is_special(id) != b.is_special(id))
      return fmt::format("token {} is a control token in {} only", id, a.is_special(id) ? name_a : name_b);
  }
  return "";
}

}  // namespace lille
