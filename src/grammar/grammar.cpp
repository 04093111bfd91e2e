#include "lille/grammar.h"

#include <utility>

#include "grammar/grammar_text.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"

namespace lille {
namespace {

// As many as a long token has.
constexpr std::size_t kBytesPerWork = 64;
constexpr std::size_t kMaxReadingBytes = std::size_t{16} << 20;

// Whether the text leads to a state, and to an accepting one if that is asked for.
bool is_read(std::shared_ptr<const CompiledGrammar> grammar, std::string_view text, bool to_its_end) {
  Matcher matcher(std::move(grammar));
  Matcher::State state = matcher.start();
  for (std::size_t idx = 0; idx < text.size(); ++idx) {
    if (idx % kBytesPerWork == 0) matcher.begin_work();
    state = matcher.next(state, static_cast<uint8_t>(text[idx]));
    if (state == Matcher::kDead) return false;
    matcher.check_table_bytes(kMaxReadingBytes);
  }
  return !to_its_end || matcher.is_accepting(state);
}

}  // namespace

Grammar::Grammar(std::shared_ptr<const CompiledGrammar> compiled) : compiled_(std::move(compiled)) {}

Grammar Grammar::parse(std::string_view text, std::string_view where) {
  return Grammar(std::make_shared<const CompiledGrammar>(parse_grammar_text(text, where)));
}

Grammar Grammar::from_json_schema(std::string_view schema, std::string_view where) {
  return Grammar(std::make_shared<const CompiledGrammar>(parse_json_schema(schema, where)));
}

bool Grammar::accepts(std::string_view text) const { return is_read(compiled_, text, true); }

bool Grammar::accepts_prefix(std::string_view text) const { return is_read(compiled_, text, false); }

}  // namespace lille
