#pragma once

#include <cstdint>
#include <vector>

#include "lille/tokenizer.h"
#include "support.h"

namespace lille::test {

/// Hastings as a clone has it; read once.
inline const Tokenizer& hastings() {
  static const Tokenizer tokenizer =
      Tokenizer::from_pickle(source_path("tests/golden/hastings/Hastings.pkl"));
  return tokenizer;
}

using Ids = std::vector<int32_t>;

}  // namespace lille::test
