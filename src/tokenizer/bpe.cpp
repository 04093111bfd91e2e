#include "tokenizer/bpe.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <limits>
#include <queue>

#include "base/check.h"

namespace lille {
namespace {

/// Below this many bytes a scan of all pairs before each merge is faster than a heap.
constexpr std::size_t kScanBytes = 128;

/// The rank of the token that two neighbouring parts form, piece[begin, end); kNone if they form none.
int32_t joined_rank(std::string_view piece, std::size_t begin, std::size_t end,
                    const Vocabulary& vocabulary) noexcept {
  return vocabulary.find({piece.data() + begin, end - begin});
}

int32_t byte_pair_rank(std::string_view piece, std::size_t pos, const Vocabulary& vocabulary) noexcept {
  return vocabulary.find_pair(static_cast<unsigned char>(piece[pos]),
                              static_cast<unsigned char>(piece[pos + 1]));
}

/// A part of the piece and the rank of the token it forms with the part after it.
struct ScanPart {
  uint32_t begin;
  int32_t id;
  int32_t rank;
};

void append_by_scan(std::vector<int32_t>& ids, std::string_view piece, const Vocabulary& vocabulary) {
  std::array<ScanPart, kScanBytes + 1> parts;
  std::size_t n_parts = piece.size();
  for (std::size_t pos = 0; pos < n_parts; ++pos) {
    const int32_t rank = pos + 1 < n_parts ? byte_pair_rank(piece, pos, vocabulary) : Vocabulary::kNone;
    parts[pos] = {static_cast<uint32_t>(pos), vocabulary.find_byte(static_cast<unsigned char>(piece[pos])),
                  rank};
  }
  // The part behind the last gives every part an end.
  parts[n_parts] = {static_cast<uint32_t>(piece.size()), Vocabulary::kNone, Vocabulary::kNone};
  const auto rank_at = [&](std::size_t part_idx) {
    if (part_idx + 2 > n_parts) return Vocabulary::kNone;
    return joined_rank(piece, parts[part_idx].begin, parts[part_idx + 2].begin, vocabulary);
  };
  for (;;) {
    std::size_t lowest = 0;
    for (std::size_t part_idx = 1; part_idx < n_parts; ++part_idx)
      if (parts[part_idx].rank < parts[lowest].rank) lowest = part_idx;
    if (parts[lowest].rank == Vocabulary::kNone) break;
    parts[lowest].id = parts[lowest].rank;
    std::copy(parts.begin() + static_cast<std::ptrdiff_t>(lowest) + 2,
              parts.begin() + static_cast<std::ptrdiff_t>(n_parts) + 1,
              parts.begin() + static_cast<std::ptrdiff_t>(lowest) + 1);
    --n_parts;
    parts[lowest].rank = rank_at(lowest);
    if (lowest > 0) parts[lowest - 1].rank = rank_at(lowest - 1);
  }
  for (std::size_t part_idx = 0; part_idx < n_parts; ++part_idx) ids.push_back(parts[part_idx].id);
}

/// The parts of a long piece as a linked list over byte positions, and a heap of the pairs that form tokens.
class HeapMerge {
 public:
  HeapMerge(std::string_view piece, const Vocabulary& vocabulary) : piece_(piece), vocabulary_(vocabulary) {
    const auto n_bytes = static_cast<uint32_t>(piece.size());
    parts_.resize(n_bytes);
    std::vector<uint64_t> pairs;
    pairs.reserve(n_bytes);
    for (uint32_t pos = 0; pos < n_bytes; ++pos) {
      Part& part = parts_[pos];
      part.previous = pos - 1;
      part.end = pos + 1;
      part.id = vocabulary.find_byte(static_cast<unsigned char>(piece[pos]));
      part.rank = part.end < n_bytes ? byte_pair_rank(piece, pos, vocabulary) : Vocabulary::kNone;
      if (part.rank != Vocabulary::kNone) pairs.push_back(key(part.rank, pos));
    }
    heap_ = Heap(std::greater<>(), std::move(pairs));
  }

  void run() {
    while (!heap_.empty()) {
      const auto rank = static_cast<int32_t>(heap_.top() >> 32);
      const auto pos = static_cast<uint32_t>(heap_.top());
      heap_.pop();
      // Entries are never taken out of the heap: one whose pair has changed since is passed over.
      if (parts_[pos].rank == rank) merge(pos);
    }
  }

  void append_ids(std::vector<int32_t>& ids) const {
    for (uint32_t pos = 0; pos < parts_.size(); pos = parts_[pos].end) ids.push_back(parts_[pos].id);
  }

 private:
  using Heap = std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>>;

  struct Part {
    uint32_t previous;  ///< Where the part before begins.
    uint32_t end;       ///< Where the part after begins.
    int32_t id;
    int32_t rank;  ///< Of the token it forms with the part after it.
  };

  /// Orders by rank, then from left to right.
  static uint64_t key(int32_t rank, uint32_t pos) { return static_cast<uint64_t>(rank) << 32 | pos; }

  void merge(uint32_t pos) {
    Part& part = parts_[pos];
    Part& absorbed = parts_[part.end];
    part.id = part.rank;
    part.end = absorbed.end;
    absorbed.rank = Vocabulary::kNone;
    if (part.end < parts_.size()) parts_[part.end].previous = pos;
    rank_pair(pos);
    if (pos > 0) rank_pair(part.previous);
  }

  void rank_pair(uint32_t pos) {
    Part& part = parts_[pos];
    part.rank = part.end < parts_.size() ? joined_rank(piece_, pos, parts_[part.end].end, vocabulary_)
                                         : Vocabulary::kNone;
    if (part.rank != Vocabulary::kNone) heap_.push(key(part.rank, pos));
  }

  std::string_view piece_;
  const Vocabulary& vocabulary_;
  std::vector<Part> parts_;
  Heap heap_;
};

}  // namespace

void append_bpe(std::vector<int32_t>& ids, std::string_view piece, const Vocabulary& vocabulary) {
  if (piece.empty()) return;
  if (const int32_t whole = vocabulary.find(piece); whole != Vocabulary::kNone) {
    ids.push_back(whole);
  } else if (piece.size() <= kScanBytes) {
    append_by_scan(ids, piece, vocabulary);
  } else {
    if (piece.size() >= std::numeric_limits<uint32_t>::max())
      raise(ErrorCode::kInvalidArgument,
            "[encode] piece of {} bytes: expected less than 4 GiB without a split", piece.size());
    HeapMerge merge(piece, vocabulary);
    merge.run();
    merge.append_ids(ids);
  }
}

}  // namespace lille
