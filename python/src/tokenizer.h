#pragma once

#include <string>

#include "lille/tokenizer.h"

namespace lille::python {

/// A tokenizer as Python sees it.
struct TokenizerHandle {
  Tokenizer tokenizer;
  bool add_bos_token = true;  ///< Whether a text to continue begins with `<|startoftext|>`.
};

/// StreamingDetokenizer with what mlx-lm's remembers.
struct DetokenizerHandle {
  StreamingDetokenizer detokenizer;
  std::string text;          ///< All that was given out.
  std::string last_segment;  ///< What the last call gave out.
};

}  // namespace lille::python
