#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lille::test {

/// A text and what tiktoken makes of it.
struct TextVector {
  std::string text;
  std::vector<int32_t> ordinary;  ///< Special tokens in the text are text.
  std::vector<int32_t> special;   ///< Special tokens in the text are parsed.
};

/// A byte string and tiktoken's encoding of it as one piece.
struct BytesVector {
  std::string bytes;
  std::vector<int32_t> ids;
};

struct Vectors {
  std::vector<TextVector> text;
  std::vector<BytesVector> bytes;
};

/// tests/golden/hastings/vectors.json, made with tiktoken 0.14 on Hastings.pkl.
const Vectors& tiktoken_vectors();

}  // namespace lille::test
