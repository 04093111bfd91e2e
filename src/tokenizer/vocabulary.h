#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/special_tokens.h"

namespace lille {

/// The tokens of Hastings: bytes by id and, for the mergeable ones, id by bytes. A mergeable token's id is
/// its rank. Immutable; made by VocabularyBuilder.
class Vocabulary {
 public:
  /// No token; compares as worse than every rank.
  static constexpr int32_t kNone = std::numeric_limits<int32_t>::max();
  /// Ids are stored in 16 bits in data files.
  static constexpr int64_t kMaxTokens = 65536;
  static constexpr std::size_t kMaxTokenBytes = 4096;

  /// The mergeable token that is exactly these bytes, or kNone. Special tokens are not found.
  int32_t find(std::string_view bytes) const noexcept;
  /// find of the two bytes, from a table.
  int32_t find_pair(unsigned char first, unsigned char second) const noexcept {
    return pair_ids_[static_cast<std::size_t>(first) << 8 | second];
  }
  /// find of one byte: always there.
  int32_t find_byte(unsigned char byte) const noexcept { return byte_ids_[byte]; }

  /// The bytes of a token; a special token's name. `id` is in [0, n_tokens()).
  std::string_view bytes(int32_t id) const noexcept {
    const auto token_idx = static_cast<std::size_t>(id);
    return std::string_view(pool_).substr(offsets_[token_idx], lengths_[token_idx]);
  }
  int64_t n_tokens() const noexcept { return static_cast<int64_t>(offsets_.size()); }
  /// Bytes of the longest mergeable token.
  std::size_t longest_bytes() const noexcept { return longest_bytes_; }

  int32_t special_id(SpecialToken token) const noexcept {
    return special_ids_[static_cast<std::size_t>(token)];
  }
  bool is_special(int32_t id) const noexcept;

 private:
  friend class VocabularyBuilder;

  /// A cell of an open-addressing table. The first eight bytes of a token stand in it, so that the common
  /// lookup touches one cache line.
  struct Slot {
    uint64_t head = 0;     ///< First bytes, little-endian, zeros after the last.
    uint32_t n_bytes = 0;  ///< 0: the cell is free.
    int32_t id = kNone;
  };

  std::size_t slot_of(uint64_t head, std::string_view bytes) const noexcept;
  /// @return false if the bytes are there already.
  bool insert(std::string_view bytes, int32_t id);

  std::string pool_;
  std::vector<uint32_t> offsets_;
  std::vector<uint32_t> lengths_;
  std::vector<Slot> slots_;
  int slot_shift_ = 0;
  std::size_t longest_bytes_ = 0;
  std::array<int32_t, 256> byte_ids_{};
  std::vector<int32_t> pair_ids_;
  std::array<int32_t, kSpecialTokenNames.size()> special_ids_{};
};

/// Takes the entries of a tokenizer file in any order and checks what they must be together.
class VocabularyBuilder {
 public:
  /// @param source  the file's name, for messages.
  explicit VocabularyBuilder(std::string source);

  /// @throws Error(kCorruptFile) that names the token if it is empty, longer than kMaxTokenBytes or its id is
  ///   not in [0, kMaxTokens).
  void add_token(std::string_view bytes, int64_t id);
  /// @throws Error(kCorruptFile) if the same token was given another id before; Error(kUnsupported) if the
  ///   name is none of kSpecialTokenNames.
  void add_special(std::string_view name, int64_t id);

  /// @throws Error(kCorruptFile) that names the entry: two tokens with the same bytes or id, ids that leave a
  ///   gap, one of the 256 single bytes or a special token missing.
  Vocabulary build() &&;

 private:
  struct Entry {
    uint32_t offset;
    uint32_t n_bytes;
    int32_t id;
    bool is_special;
  };

  void add_entry(std::string_view bytes, int64_t id, bool is_special);
  void place_entries();
  void check_special_tokens() const;
  void index_tokens();

  std::string source_;
  std::vector<Entry> entries_;
  std::array<int64_t, kSpecialTokenNames.size()> special_ids_;
  Vocabulary vocabulary_;
};

}  // namespace lille
