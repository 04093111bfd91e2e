#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "lille/model.h"
#include "lille/tokenizer.h"

namespace lille {

/// One question: a text and several that may follow it, one of which is right.
struct ChoiceItem {
  std::string context;               ///< What the model reads first; a space stands between it and a choice.
  std::vector<std::string> choices;  ///< At least two, none of them empty.
  int64_t answer = 0;                ///< Index of the right one, from 0.
};

/// Reads questions as JSON Lines, each line in one of four forms, told by its fields: `context`, `choices`,
/// `answer`; HellaSwag's `endings` (with `ctx`, or `ctx_a` and `ctx_b`); ARC's `question`, `choices`,
/// `answerKey`; PIQA's `goal`, `sol1`, `sol2`, `label` (docs/EVALUATION.md). Blank lines are skipped.
/// @throws Error(kNotFound | kIo); Error(kCorruptFile) that names file, line and field, and for a file
/// without a line. Source: EleutherAI/lm-evaluation-harness lm_eval/tasks/{hellaswag,arc,piqa} for the texts
/// that are made of them.
std::vector<ChoiceItem> read_choice_items(const std::filesystem::path& path);

/// Token ids of a text and of what follows it.
struct EncodedContinuation {
  std::vector<int32_t> context;  ///< At least one; `<|startoftext|>` where the text is empty.
  std::vector<int32_t>
      continuation;  ///< Empty if encoding both together takes no more tokens than the context alone.
};

/// Cuts a text and its continuation into tokens as lm-evaluation-harness does: white space at the end of the
/// context goes to the continuation; the continuation is what encode(context + continuation) has after as
/// many tokens as encode(context) has.
/// @param bos  `<|startoftext|>` stands before the context.
/// Source: EleutherAI/lm-evaluation-harness lm_eval/api/model.py TemplateLM._encode_pair, loglikelihood.
EncodedContinuation encode_continuation(const Tokenizer& tokenizer, std::string_view context,
                                        std::string_view continuation, bool bos = false);

/// How the model likes one choice.
struct ChoiceScore {
  double log_likelihood = 0;  ///< Sum of log p over its tokens, nats.
  int64_t n_tokens = 0;       ///< Of the continuation.
  int64_t n_characters = 0;   ///< Code points of the choice, the space before it not counted.
  int64_t n_bytes = 0;        ///< The same in UTF-8.
  bool is_cut = false;        ///< Whether the beginning of the context did not fit into block_size.
};

/// How one question was answered. Of choices that are equally likely the first counts.
struct ItemScore {
  std::vector<ChoiceScore> choices;  ///< In the item's order.
  int64_t answer = 0;                ///< Index of the right one.
  int64_t likeliest = 0;             ///< Index of the largest log_likelihood.
  int64_t likeliest_norm = 0;        ///< Index of the largest log_likelihood / n_characters.
};

/// The mean of values that are 0 or 1.
struct Accuracy {
  double value = 0;           ///< From 0 to 1.
  double standard_error = 0;  ///< Sample standard deviation (n - 1) / sqrt(n); NaN for one item.
};

/// The result of score_choices().
struct ChoiceResult {
  Accuracy acc;                  ///< Share of items whose likeliest choice is the right one.
  Accuracy acc_norm;             ///< The same of likeliest_norm.
  std::vector<ItemScore> items;  ///< In the order they were given.
  int64_t n_tokens = 0;          ///< Scored, over all choices.
  int64_t n_cut = 0;             ///< Choices with is_cut.
};

/// What score_choices() does, tells and obeys.
struct ChoiceOptions {
  bool bos =
      false;  ///< Put `<|startoftext|>` before each context; the base model never saw it in pretraining.
  std::function<void(int64_t n_done, int64_t n_items)> on_progress;  ///< After each item; may be empty.
  std::stop_token cancel;  ///< Looked at between blocks of the model.
};

/// Answers questions by log-likelihood, as lm-evaluation-harness scores multiple choice: without examples
/// before the question, log p of " " + choice after the context. A context is read once for all of its
/// choices; one that does not fit into block_size with a choice loses its beginning, for that choice only.
/// @param items  at least one.
/// @throws Error(kInvalidArgument) for no items, and for an item, named by its number from 1, with fewer than
/// two choices,
///   an answer that is none of them, or a choice of no tokens or of more than block_size; Error(kCanceled).
/// Source: EleutherAI/lm-evaluation-harness lm_eval/api/task.py process_results,
/// lm_eval/models/huggingface.py
///   _loglikelihood_tokens, lm_eval/api/metrics.py mean_stderr.
ChoiceResult score_choices(Session& session, const Tokenizer& tokenizer, std::span<const ChoiceItem> items,
                           const ChoiceOptions& options = {});

}  // namespace lille
