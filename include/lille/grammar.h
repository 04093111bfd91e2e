#pragma once

#include <memory>
#include <string_view>

#include "lille/logits_processors.h"
#include "lille/tokenizer.h"

namespace lille {

class CompiledGrammar;

/// Which texts an answer may be (docs/GRAMMAR.md). Immutable and shared by threads; a copy is a handle.
class Grammar {
 public:
  /// Reads rules such as `root ::= "yes" | "no"`; answers are what `root` stands for.
  /// @param where  what the text is called in messages.
  /// @throws Error(kInvalidArgument) that names the line and what was expected there, the rule that is
  ///   missing or that no finite text fulfils, or the limit that is exceeded.
  static Grammar parse(std::string_view text, std::string_view where = "grammar");

  /// The JSON documents that a JSON Schema of OpenAI's strict subset allows; `{"type": "object"}` is any JSON
  /// object.
  /// @param schema  JSON text; properties are written in its order.
  /// @param where   what it is called in messages.
  /// @throws Error(kInvalidArgument) that names the place in the schema and what is not understood there.
  static Grammar from_json_schema(std::string_view schema, std::string_view where = "json_schema");

  /// Whether the whole text is one of the grammar's.
  /// @throws Error(kInvalidArgument) if it has more readings than can be followed: what they take is bounded,
  ///   in time for each 64 bytes of the text and in memory for all of it.
  bool accepts(std::string_view text) const;

  /// Whether the text is the beginning of one.
  /// @throws Error as accepts().
  bool accepts_prefix(std::string_view text) const;

 private:
  friend std::unique_ptr<LogitsProcessor> make_grammar_processor(const Grammar&, const Tokenizer&);
  explicit Grammar(std::shared_ptr<const CompiledGrammar> compiled);
  std::shared_ptr<const CompiledGrammar> compiled_;
};

/// Holds an answer to a grammar: excludes every token after which it could not become one of the grammar's
/// texts any more. The tokens of the first call are the prompt, which the grammar does not see. An end token
/// may come exactly where the text is complete; other special tokens never may. It is to stand last among the
/// processors. Its process() throws Error(kInvalidShape) for logits that are not the tokenizer's, and
/// Error(kInvalidArgument) for a token that it had excluded, if no token is left, or as Grammar::accepts.
std::unique_ptr<LogitsProcessor> make_grammar_processor(const Grammar& grammar, const Tokenizer& tokenizer);

}  // namespace lille
