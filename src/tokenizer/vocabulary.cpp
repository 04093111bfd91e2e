#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/dtype.h"
#include "tokenizer/quote.h"

namespace lille {
namespace {

/// Up to eight bytes as a little-endian number, read without touching a byte outside.
uint64_t head_of(std::string_view bytes) noexcept {
  const char* data = bytes.data();
  const std::size_t n_bytes = bytes.size();
  if (n_bytes >= 8) return load_unaligned<uint64_t>(data);
  if (n_bytes >= 4) {
    const uint64_t low = load_unaligned<uint32_t>(data);
    const uint64_t high = load_unaligned<uint32_t>(data + n_bytes - 4);
    return low | high << (8 * (n_bytes - 4));
  }
  uint64_t head = 0;
  for (std::size_t byte_idx = 0; byte_idx < n_bytes; ++byte_idx)
    head |= uint64_t{static_cast<unsigned char>(data[byte_idx])} << (8 * byte_idx);
  return head;
}

}  // namespace

std::size_t Vocabulary::slot_of(uint64_t head, std::string_view bytes) const noexcept {
  uint64_t hash = (head ^ bytes.size()) * 0x9e3779b97f4a7c15u;
  if (bytes.size() > 8) {
    const uint64_t tail = load_unaligned<uint64_t>(bytes.data() + bytes.size() - 8);
    hash = (std::rotl(hash, 29) ^ tail) * 0xd6e8feb86659fd93u;
  }
  return static_cast<std::size_t>(hash >> slot_shift_);
}

int32_t Vocabulary::find(std::string_view bytes) const noexcept {
  if (bytes.empty() || bytes.size() > longest_bytes_) return kNone;
  const uint64_t head = head_of(bytes);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot_idx = slot_of(head, bytes); slots_[slot_idx].n_bytes != 0;
       slot_idx = (slot_idx + 1) & mask) {
    const Slot& slot = slots_[slot_idx];
    if (slot.head != head || slot.n_bytes != bytes.size()) continue;
    if (bytes.size() <= 8) return slot.id;
    const char* rest = pool_.data() + offsets_[static_cast<std::size_t>(slot.id)] + 8;
    if (std::memcmp(rest, bytes.data() + 8, bytes.size() - 8) == 0) return slot.id;
  }
  return kNone;
}

bool Vocabulary::insert(std::string_view bytes, int32_t id) {
  longest_bytes_ = std::max(longest_bytes_, bytes.size());
  if (find(bytes) != kNone) return false;
  const uint64_t head = head_of(bytes);
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot_idx = slot_of(head, bytes);
  while (slots_[slot_idx].n_bytes != 0) slot_idx = (slot_idx + 1) & mask;
  slots_[slot_idx] = {head, static_cast<uint32_t>(bytes.size()), id};
  return true;
}

bool Vocabulary::is_special(int32_t id) const noexcept {
  return std::find(special_ids_.begin(), special_ids_.end(), id) != special_ids_.end();
}

VocabularyBuilder::VocabularyBuilder(std::string source) : source_(std::move(source)) {
  special_ids_.fill(-1);
}

void VocabularyBuilder::add_entry(std::string_view bytes, int64_t id, bool is_special) {
  if (bytes.empty() || bytes.size() > Vocabulary::kMaxTokenBytes)
    raise(ErrorCode::kCorruptFile, "[tokenizer] {}: token {} with id {}: expected 1 to {} bytes, got {}",
          source_, quote(bytes), id, Vocabulary::kMaxTokenBytes, bytes.size());
  if (id < 0 || id >= Vocabulary::kMaxTokens)
    raise(ErrorCode::kCorruptFile, "[tokenizer] {}: token {}: expected an id from 0 to {}, got {}", source_,
          quote(bytes), Vocabulary::kMaxTokens - 1, id);
  entries_.push_back({static_cast<uint32_t>(vocabulary_.pool_.size()), static_cast<uint32_t>(bytes.size()),
                      static_cast<int32_t>(id), is_special});
  vocabulary_.pool_.append(bytes);
  if (static_cast<int64_t>(entries_.size()) > Vocabulary::kMaxTokens)
    raise(ErrorCode::kCorruptFile, "[tokenizer] {}: expected at most {} tokens, got more", source_,
          Vocabulary::kMaxTokens);
}

void VocabularyBuilder::add_token(std::string_view bytes, int64_t id) { add_entry(bytes, id, false); }

void VocabularyBuilder::add_special(std::string_view name, int64_t id) {
  const std::optional<SpecialToken> token = special_token_from_name(name);
  if (!token)
    raise(ErrorCode::kUnsupported,
          "[tokenizer] {}: special token {}: expected one of <|pad|>, <|endoftext|>, <|assistant|>, <|user|> "
          "and "
          "<|startoftext|>. Hint: only Lille's tokenizer, Hastings, is understood",
          source_, quote(name));
  int64_t& known_id = special_ids_[static_cast<std::size_t>(*token)];
  if (known_id >= 0 && known_id == id) return;
  if (known_id >= 0)
    raise(ErrorCode::kCorruptFile, "[tokenizer] {}: special token {}: expected one id, got {} and {}",
          source_, name, known_id, id);
  add_entry(name, id, true);
  known_id = id;
}

/// Puts every entry in its place by id.
void VocabularyBuilder::place_entries() {
  const std::size_t n_tokens = entries_.size();
  vocabulary_.offsets_.assign(n_tokens, 0);
  vocabulary_.lengths_.assign(n_tokens, 0);
  const auto text_of = [&](const Entry& entry) {
    return quote(std::string_view(vocabulary_.pool_).substr(entry.offset, entry.n_bytes));
  };
  for (const Entry& entry : entries_) {
    const auto token_idx = static_cast<std::size_t>(entry.id);
    if (token_idx >= n_tokens)
      raise(ErrorCode::kCorruptFile,
            "[tokenizer] {}: token {}: expected ids 0 to {} without a gap for {} tokens, got {}", source_,
            text_of(entry), n_tokens - 1, n_tokens, entry.id);
    if (vocabulary_.lengths_[token_idx] != 0)
      raise(ErrorCode::kCorruptFile,
            "[tokenizer] {}: tokens {} and {}: expected different ids, got {} for both", source_,
            quote(vocabulary_.bytes(entry.id)), text_of(entry), entry.id);
    vocabulary_.offsets_[token_idx] = entry.offset;
    vocabulary_.lengths_[token_idx] = entry.n_bytes;
  }
}

void VocabularyBuilder::check_special_tokens() const {
  std::string missing;
  for (std::size_t token_idx = 0; token_idx < kSpecialTokenNames.size(); ++token_idx) {
    if (special_ids_[token_idx] >= 0) continue;
    missing += missing.empty() ? "" : ", ";
    missing += kSpecialTokenNames[token_idx];
  }
  if (missing.empty()) return;
  raise(ErrorCode::kCorruptFile,
        "[tokenizer] {}: expected the special tokens of Hastings, found no {}. Hint: only Lille's tokenizer "
        "is understood",
        source_, missing);
}

/// Makes the tables that find mergeable tokens.
void VocabularyBuilder::index_tokens() {
  const std::size_t n_slots = std::bit_ceil(2 * entries_.size());
  vocabulary_.slots_.assign(n_slots, {});
  vocabulary_.slot_shift_ = 64 - std::countr_zero(n_slots);
  for (const Entry& entry : entries_) {
    if (entry.is_special) continue;
    const std::string_view bytes = vocabulary_.bytes(entry.id);
    if (!vocabulary_.insert(bytes, entry.id))
      raise(ErrorCode::kCorruptFile, "[tokenizer] {}: token {}: expected once, got ids {} and {}", source_,
            quote(bytes), vocabulary_.find(bytes), entry.id);
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const char text = static_cast<char>(byte);
    vocabulary_.byte_ids_[byte] = vocabulary_.find({&text, 1});
    if (vocabulary_.byte_ids_[byte] == Vocabulary::kNone)
      raise(ErrorCode::kCorruptFile,
            "[tokenizer] {}: expected a token for each of the 256 bytes, found none for {}", source_,
            quote({&text, 1}));
  }
  vocabulary_.pair_ids_.assign(std::size_t{256} * 256, Vocabulary::kNone);
  for (const Entry& entry : entries_) {
    if (entry.is_special || entry.n_bytes != 2) continue;
    const auto* bytes = reinterpret_cast<const unsigned char*>(vocabulary_.pool_.data() + entry.offset);
    vocabulary_.pair_ids_[static_cast<std::size_t>(bytes[0]) << 8 | bytes[1]] = entry.id;
  }
}

Vocabulary VocabularyBuilder::build() && {
  check_special_tokens();
  place_entries();
  index_tokens();
  for (std::size_t token_idx = 0; token_idx < kSpecialTokenNames.size(); ++token_idx) {
    const std::string_view name = kSpecialTokenNames[token_idx];
    if (vocabulary_.find(name) != Vocabulary::kNone)
      raise(ErrorCode::kCorruptFile,
            "[tokenizer] {}: token {}: expected a special token only, got a mergeable one too", source_,
            name);
    vocabulary_.special_ids_[token_idx] = static_cast<int32_t>(special_ids_[token_idx]);
  }
  return std::move(vocabulary_);
}

}  // namespace lille
