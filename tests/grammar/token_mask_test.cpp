#include "grammar/token_mask.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "grammar/grammar_text.h"
#include "support.h"

namespace lille {
namespace {

const Tokenizer& test_tokenizer() {
  static const Tokenizer tokenizer = Tokenizer::load(test::source_path("models/lille-tiny-8bit"));
  return tokenizer;
}

TokenMasks masks_of(std::string_view text) {
  return {std::make_shared<const CompiledGrammar>(parse_grammar_text(text)), test_tokenizer()};
}

// The definition: each token for itself.
void expect_exact(TokenMasks& masks, TokenMasks::State state) {
  const TokenMask mask = masks.mask(state);
  for (int32_t id = 0; id < test_tokenizer().vocab_size(); ++id) {
    const bool is_allowed = test_tokenizer().is_special(id)
                                ? id == test_tokenizer().eos_token_id() && masks.is_accepting(state)
                                : masks.after(state, test_tokenizer().token_bytes(id)) != Matcher::kDead;
    ASSERT_EQ(mask.allows(id), is_allowed) << id << " " << test_tokenizer().token_bytes(id);
  }
}

TEST(TokenMasks, AllowTheTokensThatKeepABeginningOne) {
  for (const char* text :
       {"root ::= \"yes\" | \"no\"", "root ::= [a-z ]*", "root ::= .{3}", "root ::= [^a-z]+ \"\\n\"?",
        "root ::= \"(\" root \")\" root |",
        "root ::= \"\\u00e9\" [\\u4e00-\\u9fff]* | \"\\\"\" [^\\\"]* \"\\\"\"",
        "root ::= word (\" \" word){0,9} word ::= [A-Za-z]{1,5}", "root ::= \"'\" [^']{9,40} \"'\"",
        "root ::= ([a-z ]{3,20} \"\\n\"?){2,9}", "root ::= (. | \"  \"){5,12} \"x\"{0,9}"}) {
    TokenMasks masks = masks_of(text);
    std::mt19937 random(1);
    TokenMasks::State state = masks.start();
    // Along a random sentence.
    for (int n_tokens = 0; n_tokens < 6; ++n_tokens) {
      masks.begin_work();
      expect_exact(masks, state);
      const TokenMask mask = masks.mask(state);
      std::vector<int32_t> ids;
      for (int32_t id = 0; id < test_tokenizer().vocab_size(); ++id)
        if (mask.allows(id) && !test_tokenizer().is_special(id)) ids.push_back(id);
      EXPECT_EQ(mask.is_empty(), ids.empty() && !masks.is_accepting(state));
      if (ids.empty()) break;
      state = masks.after(state, test_tokenizer().token_bytes(ids[random() % ids.size()]));
    }
  }
}

TEST(TokenMasks, TheEndIsAllowedExactlyAfterASentence) {
  TokenMasks masks = masks_of("root ::= \"a\" \"b\"?");
  const int32_t end = test_tokenizer().eos_token_id();
  EXPECT_FALSE(masks.mask(masks.start()).allows(end));
  EXPECT_TRUE(masks.mask(masks.after(masks.start(), "a")).allows(end));
  const TokenMasks::State ended = masks.after(masks.start(), "ab");
  EXPECT_TRUE(masks.mask(ended).allows(end));
  EXPECT_EQ(masks.after(ended, "b"), Matcher::kDead);
  int n_allowed = 0;
  for (int32_t id = 0; id < test_tokenizer().vocab_size(); ++id) n_allowed += masks.mask(ended).allows(id);
  EXPECT_EQ(n_allowed, 1);
}

TEST(TokenMask, AppliesToLogits) {
  for (const int64_t vocab_size : {1, 63, 64, 65, 200}) {
    TokenMask mask(vocab_size);
    EXPECT_TRUE(mask.is_empty());
    std::vector<bool> allowed(static_cast<std::size_t>(vocab_size));
    for (int32_t id = 0; id < vocab_size; ++id) {
      // A word of each kind: all, some, none.
      if (id < 64 || id % 3 == 0) allowed[static_cast<std::size_t>(id)] = id < 128;
      if (allowed[static_cast<std::size_t>(id)]) mask.allow(id);
    }
    std::vector<float> logits(allowed.size(), 1.5F);
    mask.apply(logits);
    for (std::size_t id = 0; id < allowed.size(); ++id)
      EXPECT_EQ(logits[id], allowed[id] ? 1.5F : -INFINITY) << id << " of " << vocab_size;
  }
}

}  // namespace
}  // namespace lille
