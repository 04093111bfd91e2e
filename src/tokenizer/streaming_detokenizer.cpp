#include <utility>

#include "base/utf8.h"
#include "lille/tokenizer.h"

namespace lille {

StreamingDetokenizer::StreamingDetokenizer(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}

std::string StreamingDetokenizer::add_token(int32_t id) {
  std::string piece = pending_;
  piece += tokenizer_.token_bytes(id);
  const std::size_t n_shown = piece.size() - unfinished_utf8_bytes(piece);
  pending_.assign(piece, n_shown);
  piece.resize(n_shown);
  return piece;
}

std::string StreamingDetokenizer::finalize() { return std::exchange(pending_, {}); }

void StreamingDetokenizer::reset() noexcept { pending_.clear(); }

}  // namespace lille
