#include <string>

#include "tokenizer/bpe.h"

namespace lille {

void append_bpe_reference(std::vector<int32_t>& ids, std::string_view piece, const Vocabulary& vocabulary) {
  if (const int32_t whole = vocabulary.find(piece); whole != Vocabulary::kNone) {
    ids.push_back(whole);
    return;
  }
  std::vector<std::string> parts;
  for (const char byte : piece) parts.emplace_back(1, byte);
  while (parts.size() > 1) {
    int32_t lowest_rank = Vocabulary::kNone;
    std::size_t lowest_idx = 0;
    for (std::size_t part_idx = 0; part_idx + 1 < parts.size(); ++part_idx) {
      const int32_t rank = vocabulary.find(parts[part_idx] + parts[part_idx + 1]);
      if (rank >= lowest_rank) continue;
      lowest_rank = rank;
      lowest_idx = part_idx;
    }
    if (lowest_rank == Vocabulary::kNone) break;
    parts[lowest_idx] += parts[lowest_idx + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(lowest_idx) + 1);
  }
  for (const std::string& part : parts) ids.push_back(vocabulary.find(part));
}

}  // namespace lille
