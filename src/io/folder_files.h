#pragma once

#include <array>
#include <string_view>

namespace lille {

// The files of a model's folder; those with weights are named in io/safetensors.h.
inline constexpr const char* kConfigFile = "config.json";                       ///< ModelArgs.
inline constexpr const char* kGenerationConfigFile = "generation_config.json";  ///< GenerationDefaults.
inline constexpr const char* kTokenizerConfigFile = "tokenizer_config.json";
inline constexpr const char* kSpecialTokensMapFile = "special_tokens_map.json";
inline constexpr const char* kChatTemplateFile = "chat_template.jinja";
inline constexpr const char* kVocabFile = "vocab.json";
inline constexpr const char* kMergesFile = "merges.txt";
inline constexpr const char* kTokenizerFile = "tokenizer.json";
inline constexpr const char* kHastingsFile = "Hastings.pkl";

/// What a model is loaded with beside its weights, where it is there; config.json always is.
inline constexpr auto kSideFiles = std::to_array<std::string_view>(
    {kConfigFile, kGenerationConfigFile, kTokenizerConfigFile, kSpecialTokensMapFile, kChatTemplateFile,
     kVocabFile, kMergesFile, kTokenizerFile, kHastingsFile});

/// What goes along with a copy of a model although nothing here reads it: other programs' files, and the
/// terms.
inline constexpr auto kOtherCopiedFiles =
    std::to_array<std::string_view>({"added_tokens.json", "chat_template.json", "LICENSE"});

}  // namespace lille
