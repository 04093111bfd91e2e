#include "lille/batch.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <map>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "generate/answer.h"
#include "generate/sequence.h"

namespace lille {
namespace {

constexpr std::size_t kMaxReasonChars = 200;

void check_size(std::string_view name, int64_t n_sequences) {
  if (n_sequences >= 1) return;
  raise(ErrorCode::kInvalidArgument, "[batch_generate] {}: expected 1 or more, got {}", name, n_sequences);
}

// The exception that is being handled as a sequence's own error: callables of users throw anything.
Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return {ErrorCode::kOutOfMemory, "[batch_generate] there is not enough memory for this answer"};
  } catch (const std::exception& error) {
    return {ErrorCode::kInternal, fmt::format("[batch_generate] a callable of this answer threw: {}",
                                              printable(error.what(), kMaxReasonChars))};
  } catch (...) {
    return {ErrorCode::kInternal, "[batch_generate] a callable of this answer threw no std::exception"};
  }
}

// One prompt on its way to an answer.
struct Item {
  int64_t uid;
  Sequence sequence;
  Answer answer;
  std::vector<float> logits = {};  // (vocab_size) of the last pass; empty if it was not at the prompt's end
  bool has_ended = false;

  // Whether a pass reads for it. Who cancels may have the cache back at once.
  bool wants_pass() const {
    return !has_ended && sequence.has_pending() && !sequence.options().cancel.stop_requested();
  }
};

using ItemPtr = std::unique_ptr<Item>;

}  // namespace

struct BatchGenerator::State {
  Session& session;
  Tokenizer tokenizer;
  BatchOptions options;
  int64_t next_uid = 0;
  std::deque<ItemPtr> waiting = {};
  std::vector<ItemPtr> running = {};
  std::vector<ItemPtr> ended = {};  // by the last pass; responses point into them
  std::vector<Response> responses = {};

  void admit();
  void check_caches();
  std::vector<Item*> choose();
  CacheType type_of(const Item& item) const;
  void pass(std::span<Item* const> items);
  void read(std::span<Item* const> items);
  void take(Item& item);
  void respond(Item& item, const std::optional<GenerateStepResult>& step);
  void fail(Item& item, Error error);
  bool uses(const PromptCache* cache) const;
};

void BatchGenerator::State::admit() {
  while (!waiting.empty() && static_cast<int64_t>(running.size()) < options.completion_batch_size) {
    running.push_back(std::move(waiting.front()));
    waiting.pop_front();
    running.back()->answer.restart_clock();
  }
}

// Ends those whose caches somebody else changed.
void BatchGenerator::State::check_caches() {
  for (const ItemPtr& item : running) {
    if (!item->wants_pass()) continue;
    try {
      item->sequence.check_cache();
    } catch (...) {
      fail(*item, current_error());
    }
  }
}

// Those that read something in the next pass: all that generate, and the oldest of those that read prompts.
std::vector<Item*> BatchGenerator::State::choose() {
  std::vector<Item*> chosen;
  int64_t n_prefilling = 0;
  for (const ItemPtr& item : running) {
    if (!item->wants_pass()) continue;
    if (item->sequence.reads_prompt() && ++n_prefilling > options.prefill_batch_size) continue;
    chosen.push_back(item.get());
  }
  return chosen;
}

CacheType BatchGenerator::State::type_of(const Item& item) const {
  const PromptCache* cache = item.sequence.options().prompt_cache;
  return cache != nullptr ? cache->type() : session.cache_type();
}

// One pass of the model for each type of cache. No sequence takes a token before all of them are through, so
// that none is ahead of the others when `cancel` comes.
void BatchGenerator::State::pass(std::span<Item* const> items) {
  try {
    for (const CacheType type : kCacheTypes) {
      std::vector<Item*> of_type;
      std::ranges::copy_if(items, std::back_inserter(of_type),
                           [this, type](const Item* item) { return type_of(*item) == type; });
      read(of_type);
    }
  } catch (...) {
    for (Item* item : items) item->sequence.withdraw();
    for (const ItemPtr& item : running) item->has_ended = false;
    responses.clear();
    throw;
  }
  for (Item* item : items)
    if (!item->has_ended) take(*item);
}

void BatchGenerator::State::read(std::span<Item* const> items) {
  if (items.empty()) return;
  std::vector<BatchItem> batch;
  for (Item* item : items) batch.push_back(item->sequence.pending());
  Logits logits;
  try {
    logits = session.forward(batch, {options.cancel, {}, nullptr});
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCanceled) throw;
    if (items.size() == 1) return fail(*items.front(), error);
    // Only the sequence at fault may end.
    for (Item* const& item : items) read(std::span(&item, 1));
    return;
  }
  int64_t row_idx = 0;
  for (std::size_t idx = 0; idx < items.size(); ++idx) {
    items[idx]->logits.clear();
    if (batch[idx].logits == LogitsFor::kNone) continue;
    const std::span<const float> row = logits.row(row_idx++);
    items[idx]->logits.assign(row.begin(), row.end());
  }
}

void BatchGenerator::State::take(Item& item) {
  try {
    if (const std::optional<GenerateStepResult> step = item.sequence.accept(item.logits)) respond(item, step);
  } catch (...) {
    fail(item, current_error());
  }
}

void BatchGenerator::State::respond(Item& item, const std::optional<GenerateStepResult>& step) {
  GenerationResponse response = item.answer.add(step, item.sequence.has_next());
  item.has_ended = item.answer.is_finished();
  responses.push_back({item.uid, std::move(response), std::nullopt});
}

void BatchGenerator::State::fail(Item& item, Error error) {
  item.has_ended = true;
  responses.push_back({item.uid, {}, std::move(error)});
}

bool BatchGenerator::State::uses(const PromptCache* cache) const {
  const auto has_it = [cache](const ItemPtr& item) { return item->sequence.options().prompt_cache == cache; };
  return std::ranges::any_of(waiting, has_it) || std::ranges::any_of(running, has_it);
}

BatchGenerator::BatchGenerator(Session& session, const Tokenizer& tokenizer, BatchOptions options)
    : state_(new State{session, tokenizer, std::move(options)}) {
  check_size("completion_batch_size", state_->options.completion_batch_size);
  check_size("prefill_batch_size", state_->options.prefill_batch_size);
}

BatchGenerator::~BatchGenerator() = default;
BatchGenerator::BatchGenerator(BatchGenerator&&) noexcept = default;

int64_t BatchGenerator::insert(std::span<const int32_t> prompt, StreamOptions options) {
  if (options.prompt_cache != nullptr && state_->uses(options.prompt_cache))
    raise(ErrorCode::kInvalidArgument,
          "[batch_generate] prompt_cache: expected one for each prompt, got one that another prompt uses. "
          "Hint: make one cache for each");
  const ModelArgs& args = state_->session.model().args();
  const FittedPrompt fitted = fit_stream_prompt(prompt, state_->tokenizer, args, options);
  Answer answer(state_->tokenizer, args, fitted, options);
  Sequence sequence(state_->session, fitted.tokens, std::move(options));
  state_->waiting.push_back(
      std::make_unique<Item>(Item{state_->next_uid, std::move(sequence), std::move(answer)}));
  return state_->next_uid++;
}

std::vector<BatchGenerator::Response> BatchGenerator::next() {
  State& state = *state_;
  if (state.options.cancel.stop_requested()) raise(ErrorCode::kCanceled, "[batch_generate] canceled");
  state.ended.clear();
  state.admit();
  state.check_caches();
  state.pass(state.choose());
  for (const ItemPtr& item : state.running) {
    if (item->has_ended) continue;
    if (item->sequence.options().cancel.stop_requested())
      state.fail(*item, {ErrorCode::kCanceled, "[batch_generate] canceled"});
    else if (!item->sequence.has_pending())
      state.respond(*item, std::nullopt);
  }
  const auto first_ended =
      std::ranges::stable_partition(state.running, [](const ItemPtr& item) { return !item->has_ended; });
  std::ranges::move(first_ended, std::back_inserter(state.ended));
  state.running.erase(first_ended.begin(), first_ended.end());
  return std::exchange(state.responses, {});
}

bool BatchGenerator::remove(int64_t uid) {
  const auto is_it = [uid](const ItemPtr& item) { return item->uid == uid; };
  return std::erase_if(state_->waiting, is_it) + std::erase_if(state_->running, is_it) > 0;
}

int64_t BatchGenerator::n_sequences() const noexcept {
  return static_cast<int64_t>(state_->waiting.size() + state_->running.size());
}

std::vector<BatchResult> batch_generate(Session& session, const Tokenizer& tokenizer,
                                        std::vector<BatchPrompt> prompts, const BatchOptions& options,
                                        const BatchCallback& on_finished) {
  BatchGenerator generator(session, tokenizer, options);
  std::vector<BatchResult> results(prompts.size());
  std::map<int64_t, std::size_t> prompt_idx_of;
  const auto tell = [&](std::size_t prompt_idx) {
    if (on_finished) on_finished(prompt_idx, results[prompt_idx]);
  };
  std::size_t n_inserted = 0;
  while (true) {
    while (n_inserted < prompts.size() && generator.n_sequences() < options.completion_batch_size) {
      const std::size_t prompt_idx = n_inserted++;
      BatchPrompt prompt = std::move(prompts[prompt_idx]);
      try {
        prompt_idx_of[generator.insert(prompt.tokens, std::move(prompt.options))] = prompt_idx;
      } catch (const Error& error) {
        results[prompt_idx].error = error;
        tell(prompt_idx);
      }
    }
    if (generator.n_sequences() == 0) return results;
    for (BatchGenerator::Response& response : generator.next()) {
      const std::size_t prompt_idx = prompt_idx_of.at(response.uid);
      BatchResult& result = results[prompt_idx];
      result.error = std::move(response.error);
      if (!result.error) result.answer.add(std::move(response.response));
      if (!result.error && !result.answer.last.finish_reason) continue;
      prompt_idx_of.erase(response.uid);
      tell(prompt_idx);
    }
  }
}

}  // namespace lille
