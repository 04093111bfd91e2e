#pragma once

#include <filesystem>

#include "lille/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace lille {

/// Writes what Tokenizer::save promises.
void save_tokenizer_files(const std::filesystem::path& folder, const Vocabulary& vocabulary,
                          const SaveTokenizerOptions& options);

}  // namespace lille
