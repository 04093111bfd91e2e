#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "grammar/grammar_text.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"
#include "harness.h"

// An input is a letter, g (a grammar) or s (a JSON Schema), and its text.

namespace {

constexpr int kMaxBytes = 60;

// Some text of the grammar as far as it goes: wherever one has begun, it can go on or has ended.
void walk(lille::Matcher& matcher, std::size_t seed) {
  lille::Matcher::State state = matcher.start();
  for (int n_bytes = 0; n_bytes < kMaxBytes; ++n_bytes) {
    matcher.begin_work();
    lille::Matcher::State next = lille::Matcher::kDead;
    for (std::size_t idx = 0; idx < 256 && next == lille::Matcher::kDead; ++idx)
      next = matcher.next(state, static_cast<uint8_t>(seed + idx * 41));
    if (next == lille::Matcher::kDead) return lille::fuzz::require(matcher.is_accepting(state));
    seed = seed * 31 + 7;
    state = next;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  if (n_bytes == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, n_bytes - 1);
  try {
    const lille::RuleSet rules =
        data[0] == 's' ? lille::parse_json_schema(text, "schema") : lille::parse_grammar_text(text);
    lille::Matcher matcher(std::make_shared<const lille::CompiledGrammar>(rules));
    for (std::size_t seed = 0; seed < 3; ++seed) walk(matcher, seed + n_bytes);
  } catch (const lille::Error& error) {
    lille::fuzz::require(error.code() == lille::ErrorCode::kInvalidArgument);
    lille::fuzz::check_message(error);
  }
  return 0;
}
