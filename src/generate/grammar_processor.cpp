#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "grammar/token_mask.h"
#include "lille/grammar.h"

namespace lille {
namespace {

class GrammarProcessor : public LogitsProcessor {
 public:
  GrammarProcessor(std::shared_ptr<const CompiledGrammar> grammar, const Tokenizer& tokenizer)
      : tokenizer_(tokenizer), masks_(std::move(grammar), tokenizer) {}

  void process(std::span<const int32_t> tokens, std::span<float> logits) override {
    if (static_cast<int64_t>(logits.size()) != tokenizer_.vocab_size())
      raise(ErrorCode::kInvalidShape, "[grammar] logits: expected ({}), got ({})", tokenizer_.vocab_size(),
            logits.size());
    if (masks_.is_full()) make_room();
    masks_.begin_work();
    if (states_.empty()) {
      n_prompt_ = tokens.size();
      states_.push_back({kNoToken, masks_.start()});
    }
    for (std::size_t idx = n_prompt_ + states_.size() - 1; idx < tokens.size(); ++idx) read(tokens[idx]);
    const TokenMask& mask = masks_.mask(states_.back().state);
    if (mask.is_empty())
      raise(ErrorCode::kInvalidArgument,
            "[grammar] expected a token that goes on with the answer, the vocabulary has none");
    mask.apply(logits);
  }

  void rollback(int64_t n_tokens) override {
    const auto n_kept = static_cast<std::size_t>(n_tokens);
    if (states_.empty()) return;
    if (n_kept < n_prompt_)
      states_.clear();
    else if (n_kept - n_prompt_ + 1 < states_.size())
      states_.resize(n_kept - n_prompt_ + 1);
  }

  std::unique_ptr<LogitsProcessor> clone() const override {
    return std::make_unique<GrammarProcessor>(*this);
  }

 private:
  static constexpr int32_t kNoToken = -1;
  // The whole answer, in steps that a token may take.
  static constexpr int64_t kMaxRereadings = 4;

  // The state after a token of the answer. After the end of the text it is that before it: it may end again.
  struct Reached {
    int32_t token = kNoToken;
    TokenMasks::State state = 0;
  };

  void read(int32_t token) {
    const TokenMasks::State before = states_.back().state;
    TokenMasks::State after = Matcher::kDead;
    if (token == tokenizer_.eos_token_id())
      after = masks_.is_accepting(before) ? before : Matcher::kDead;
    else if (!tokenizer_.is_special(token))
      after = masks_.after(before, tokenizer_.token_bytes(token));
    if (after == Matcher::kDead)
      raise(ErrorCode::kInvalidArgument,
            "[grammar] expected a token that the grammar allows, got {} (\"{}\"). Hint: the processor stands "
            "last, and tokens are drawn from the logits that it leaves",
            token, printable(tokenizer_.token_bytes(token)));
    states_.push_back({token, after});
  }

  // Forgets all states and reads the answer again, which needs few of them unless it has many readings.
  void make_room() {
    masks_.reset();
    const std::vector<Reached> answer = std::exchange(states_, {});
    if (answer.empty()) return;
    states_.push_back({kNoToken, masks_.start()});
    masks_.begin_work(kMaxRereadings);
    for (std::size_t idx = 1; idx < answer.size(); ++idx) {
      read(answer[idx].token);
      masks_.check_room();
    }
  }

  Tokenizer tokenizer_;
  TokenMasks masks_;
  std::size_t n_prompt_ = 0;
  std::vector<Reached>
      states_;  // before the answer and after each of its tokens; empty before the first call
};

}  // namespace

std::unique_ptr<LogitsProcessor> make_grammar_processor(const Grammar& grammar, const Tokenizer& tokenizer) {
  return std::make_unique<GrammarProcessor>(grammar.compiled_, tokenizer);
}

}  // namespace lille
