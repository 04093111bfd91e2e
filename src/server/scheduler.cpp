#include "server/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "server/reading.h"

namespace lille {
namespace {

constexpr std::size_t kMaxReasonChars = 200;

Error canceled() { return {ErrorCode::kCanceled, "[scheduler] canceled"}; }

void check_at_least(std::string_view name, int64_t value, int64_t least) {
  if (value >= least) return;
  raise(ErrorCode::kInvalidArgument, "[scheduler] {}: expected {} or more, got {}", name, least, value);
}

Error error_of(const std::exception& failure) {
  if (const auto* error = dynamic_cast<const Error*>(&failure)) return *error;
  if (dynamic_cast<const std::bad_alloc*>(&failure) != nullptr)
    return {ErrorCode::kOutOfMemory, "[scheduler] there is not enough memory"};
  return {ErrorCode::kInternal, "[scheduler] " + printable(failure.what(), kMaxReasonChars)};
}

}  // namespace

// Where the pieces of answers wait for whoever asked. Its size is bounded by what max_tokens and the context
// let an answer be.
struct Scheduler::Answers::Mailbox {
  explicit Mailbox(std::string name) : client(std::move(name)) {}

  std::string client;
  std::stop_source cancel;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<AnswerEvent> events;

  void post(AnswerEvent event) {
    {
      const std::scoped_lock lock(mutex);
      events.push_back(std::move(event));
    }
    changed.notify_one();
  }
};

struct Scheduler::Waiting {
  std::shared_ptr<Answers::Mailbox> mailbox;
  std::size_t answer_idx;
  AnswerRequest request;
};

struct Scheduler::Running {
  std::unique_ptr<Waiting> answer;
  std::unique_ptr<PromptCache> cache;
  bool has_begun = false;  // its prompt is read
};

Scheduler::Answers::Answers(Scheduler& scheduler, std::shared_ptr<Mailbox> mailbox, std::size_t n_answers)
    : scheduler_(scheduler), mailbox_(std::move(mailbox)), n_open_(n_answers) {}

Scheduler::Answers::~Answers() {
  if (!has_ended()) scheduler_.forget(mailbox_);
}

std::optional<AnswerEvent> Scheduler::Answers::next(std::chrono::milliseconds patience) {
  if (has_ended()) return std::nullopt;
  std::unique_lock lock(mailbox_->mutex);
  if (!mailbox_->changed.wait_for(lock, patience, [this] { return !mailbox_->events.empty(); }))
    return std::nullopt;
  AnswerEvent event = std::move(mailbox_->events.front());
  mailbox_->events.pop_front();
  if (event.is_last()) --n_open_;
  return event;
}

Scheduler::Reading::Reading(Scheduler& scheduler, std::shared_ptr<State> state)
    : scheduler_(scheduler), state_(std::move(state)) {}

Scheduler::Reading::~Reading() { scheduler_.forget(state_); }

std::optional<ReadingResult> Scheduler::Reading::wait(std::chrono::milliseconds patience) {
  std::unique_lock lock(state_->mutex);
  if (!state_->changed.wait_for(lock, patience, [this] { return state_->has_ended; })) return std::nullopt;
  if (state_->error) throw *state_->error;
  return std::move(state_->result);
}

Scheduler::Scheduler(Session& session, const Tokenizer& tokenizer, const SchedulerOptions& options)
    : session_(session), tokenizer_(tokenizer), options_(options), prefix_(options.prefix_cache_bytes) {
  check_at_least("completion_batch_size", options.completion_batch_size, 1);
  check_at_least("prefill_batch_size", options.prefill_batch_size, 1);
  check_at_least("prefill_step_size", options.prefill_step_size, 1);
  check_at_least("max_queue", options.max_queue, 1);
  check_vocabulary(tokenizer, session.model().args());
  worker_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

Scheduler::~Scheduler() = default;

void Scheduler::check_tokens(std::span<const int32_t> tokens) const {
  const ModelArgs& args = session_.model().args();
  if (tokens.empty() || static_cast<int64_t>(tokens.size()) > args.block_size)
    raise(ErrorCode::kInvalidArgument, "[scheduler] prompt: expected 1 to {} tokens (block_size), got {}",
          args.block_size, tokens.size());
  for (const int32_t id : tokens)
    if (id < 0 || id >= args.vocab_size)
      raise(ErrorCode::kInvalidArgument, "[scheduler] prompt: expected token ids from 0 to {}, got {}",
            args.vocab_size - 1, id);
}

// The caller holds the lock.
bool Scheduler::has_place() {
  if (stats_.n_waiting < options_.max_queue) return true;
  ++stats_.n_refused;
  return false;
}

std::unique_ptr<Scheduler::Answers> Scheduler::answer(std::vector<AnswerRequest> requests,
                                                      const std::string& client) {
  check_at_least("requests", static_cast<int64_t>(requests.size()), 1);
  for (const AnswerRequest& request : requests) check_tokens(request.prompt);
  auto mailbox = std::make_shared<Answers::Mailbox>(client);
  const std::size_t n_answers = requests.size();
  {
    const std::scoped_lock lock(mutex_);
    if (!has_place()) return nullptr;
    std::deque<std::unique_ptr<Waiting>>& queue = waiting_[client];
    if (queue.empty()) turns_.push_back(client);
    for (std::size_t idx = 0; idx < n_answers; ++idx)
      queue.push_back(std::make_unique<Waiting>(Waiting{mailbox, idx, std::move(requests[idx])}));
    stats_.n_waiting += static_cast<int64_t>(n_answers);
  }
  changed_.notify_one();
  return std::unique_ptr<Answers>(new Answers(*this, std::move(mailbox), n_answers));
}

std::unique_ptr<Scheduler::Reading> Scheduler::read(ReadingRequest request) {
  check_tokens(request.tokens);
  const ModelArgs& args = session_.model().args();
  if (request.first_scored < 0 || request.first_scored > static_cast<int64_t>(request.tokens.size()))
    raise(ErrorCode::kInvalidArgument, "[scheduler] first_scored: expected 0 to {}, got {}",
          request.tokens.size(), request.first_scored);
  if (request.top_logprobs < 0 || request.top_logprobs > args.vocab_size)
    raise(ErrorCode::kInvalidArgument, "[scheduler] top_logprobs: expected 0 to {} (vocab_size), got {}",
          args.vocab_size, request.top_logprobs);
  if (request.lens_top < 0 || request.lens_top > args.vocab_size)
    raise(ErrorCode::kInvalidArgument, "[scheduler] lens_top: expected 0 to {} (vocab_size), got {}",
          args.vocab_size, request.lens_top);
  if (request.attention_of &&
      (*request.attention_of < 0 || *request.attention_of >= static_cast<int64_t>(request.tokens.size())))
    raise(ErrorCode::kInvalidArgument, "[scheduler] attention_of: expected 0 to {}, got {}",
          request.tokens.size() - 1, *request.attention_of);
  const auto reading = std::make_shared<Reading::State>(std::move(request));
  {
    const std::scoped_lock lock(mutex_);
    if (!has_place()) return nullptr;
    readings_.push_back(reading);
    ++stats_.n_waiting;
  }
  changed_.notify_one();
  return std::unique_ptr<Reading>(new Reading(*this, reading));
}

SchedulerStats Scheduler::stats() const {
  const std::scoped_lock lock(mutex_);
  SchedulerStats stats = stats_;
  stats.is_canceling = wants_cancel_all_;
  if (step_start_) stats.step_s = std::chrono::duration<double>(Clock::now() - *step_start_).count();
  return stats;
}

bool Scheduler::is_idle() const {
  const std::scoped_lock lock(mutex_);
  return stats_.n_waiting == 0 && stats_.n_running == 0;
}

void Scheduler::cancel_all() {
  {
    const std::scoped_lock lock(mutex_);
    wants_cancel_all_ = true;
  }
  changed_.notify_one();
}

void Scheduler::forget(const std::shared_ptr<Answers::Mailbox>& mailbox) {
  mailbox->cancel.request_stop();
  const std::scoped_lock lock(mutex_);
  const auto queue = waiting_.find(mailbox->client);
  if (queue == waiting_.end()) return;
  const auto n_removed = static_cast<int64_t>(
      std::erase_if(queue->second, [&](const auto& waiting) { return waiting->mailbox == mailbox; }));
  stats_.n_waiting -= n_removed;
  stats_.n_canceled += n_removed;
  if (!queue->second.empty()) return;
  std::erase(turns_, queue->first);
  waiting_.erase(queue);
}

void Scheduler::forget(const std::shared_ptr<Reading::State>& reading) {
  reading->is_canceled = true;
  const std::scoped_lock lock(mutex_);
  // The first may be under way: the thread drops it.
  const auto place = std::ranges::find(readings_, reading);
  if (place == readings_.end() || place == readings_.begin()) return;
  readings_.erase(place);
  --stats_.n_waiting;
}

void Scheduler::work(const std::stop_token& stop) {
  make_generator(stop);
  while (wait_for_work(stop)) {
    std::string fault;
    try {
      step(stop);
    } catch (const std::exception& failure) {
      if (stop.stop_requested()) break;
      const Error error = error_of(failure);
      fault = error.what();
      fail_running(error);
      make_generator(stop);
    }
    const std::scoped_lock lock(mutex_);
    step_start_.reset();
    stats_.fault = std::move(fault);
    stats_.prefix = prefix_.stats();
  }
  fail_running(canceled());
  fail_waiting(canceled());
}

bool Scheduler::wait_for_work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const bool has_work = changed_.wait(
      lock, stop, [this] { return stats_.n_waiting + stats_.n_running > 0 || wants_cancel_all_; });
  if (has_work) step_start_ = Clock::now();
  return has_work && !stop.stop_requested();
}

void Scheduler::make_generator(const std::stop_token& stop) {
  // It has as many places as admit() fills, so that none waits inside.
  generator_.emplace(session_, tokenizer_,
                     BatchOptions{options_.completion_batch_size, options_.prefill_batch_size, stop});
}

void Scheduler::step(const std::stop_token& stop) {
  bool cancels_all = false;
  {
    const std::scoped_lock lock(mutex_);
    cancels_all = std::exchange(wants_cancel_all_, false);
  }
  if (cancels_all) {
    fail_waiting(canceled());
    fail_running(canceled());
    make_generator(stop);
    return;
  }
  admit();
  if (generator_->n_sequences() > 0) {
    std::vector<BatchGenerator::Response> responses = generator_->next();
    {
      const std::scoped_lock lock(mutex_);
      ++stats_.n_passes;
    }
    for (BatchGenerator::Response& response : responses) deliver(std::move(response));
  }
  read_piece(stop);
}

void Scheduler::admit() {
  while (static_cast<int64_t>(running_.size()) < options_.completion_batch_size) {
    std::unique_ptr<Waiting> waiting = next_waiting();
    if (!waiting) return;
    start(std::move(waiting));
  }
}

std::unique_ptr<Scheduler::Waiting> Scheduler::next_waiting() {
  const std::scoped_lock lock(mutex_);
  for (std::size_t turn_idx = 0; turn_idx < turns_.size(); ++turn_idx) {
    const std::string client = turns_[turn_idx];
    std::deque<std::unique_ptr<Waiting>>& queue = waiting_.at(client);
    if (gains_by_waiting(queue.front()->request.prompt)) continue;
    std::unique_ptr<Waiting> waiting = std::move(queue.front());
    queue.pop_front();
    turns_.erase(turns_.begin() + static_cast<std::ptrdiff_t>(turn_idx));
    if (queue.empty())
      waiting_.erase(client);
    else
      turns_.push_back(client);
    --stats_.n_waiting;
    ++stats_.n_running;
    return waiting;
  }
  return nullptr;
}

// Whether an answer that reads its prompt right now will leave more of this prompt in the prefix cache than
// is there: several answers to one prompt read it once.
bool Scheduler::gains_by_waiting(std::span<const int32_t> prompt) const {
  if (options_.prefix_cache_bytes == 0) return false;
  std::optional<int64_t> n_reusable;
  for (const auto& [uid, running] : running_) {
    if (running.has_begun) continue;
    const std::vector<int32_t>& other = running.answer->request.prompt;
    const auto n_shared = std::ranges::mismatch(prompt.first(prompt.size() - 1), other).in1 - prompt.begin();
    if (!n_reusable) n_reusable = prefix_.n_reusable(prompt);
    if (n_shared >= *n_reusable + PrefixCache::kBlockTokens) return true;
  }
  return false;
}

void Scheduler::start(std::unique_ptr<Waiting> waiting) {
  AnswerRequest& request = waiting->request;
  std::unique_ptr<PromptCache> cache;
  int64_t uid = 0;
  try {
    cache = take_cache();
    prefix_.restore(*cache, request.prompt, session_.model().args().block_size);
    StreamOptions options = std::move(request.options);
    options.prompt_cache = cache.get();
    options.reuse_prefix = true;
    options.prefill_step_size = options_.prefill_step_size;
    options.cancel = waiting->mailbox->cancel.get_token();
    options.drafter = nullptr;
    uid = generator_->insert(request.prompt, std::move(options));
  } catch (const std::exception& failure) {
    if (cache) give_cache(std::move(cache));
    const Error error = error_of(failure);
    {
      const std::scoped_lock lock(mutex_);
      --stats_.n_running;
      ++stats_.n_failed;
    }
    waiting->mailbox->post({waiting->answer_idx, {}, error});
    return;
  }
  running_.emplace(uid, Running{std::move(waiting), std::move(cache)});
}

void Scheduler::deliver(BatchGenerator::Response response) {
  const auto place = running_.find(response.uid);
  Running& running = place->second;
  AnswerEvent event = {running.answer->answer_idx, std::move(response.response), std::move(response.error)};
  event.response.logprobs = {};
  const bool is_last = event.is_last();
  const bool is_canceled = event.error && event.error->code() == ErrorCode::kCanceled;
  // What comes after a prompt that others share: the prompt itself as soon as it is read, the answer, which
  // the next turn of a chat repeats, at its end.
  if (!running.has_begun || is_last) prefix_.keep(*running.cache);
  running.has_begun = true;
  {
    const std::scoped_lock lock(mutex_);
    if (event.response.token) ++stats_.n_generated_tokens;
    if (is_last) {
      --stats_.n_running;
      ++(is_canceled ? stats_.n_canceled : event.error ? stats_.n_failed : stats_.n_finished);
    }
  }
  running.answer->mailbox->post(std::move(event));
  if (!is_last) return;
  give_cache(std::move(running.cache));
  running_.erase(place);
}

std::unique_ptr<PromptCache> Scheduler::take_cache() {
  if (free_caches_.empty()) return std::make_unique<PromptCache>(make_prompt_cache(session_));
  std::unique_ptr<PromptCache> cache = std::move(free_caches_.back());
  free_caches_.pop_back();
  return cache;
}

void Scheduler::give_cache(std::unique_ptr<PromptCache> cache) {
  cache->trim(cache->offset());
  free_caches_.push_back(std::move(cache));
}

void Scheduler::fail_running(const Error& error) {
  // Sequences point to their caches.
  generator_.reset();
  const auto n_ended = static_cast<int64_t>(running_.size());
  {
    const std::scoped_lock lock(mutex_);
    stats_.n_running = 0;
    (error.code() == ErrorCode::kCanceled ? stats_.n_canceled : stats_.n_failed) += n_ended;
  }
  for (auto& [uid, running] : running_)
    running.answer->mailbox->post({running.answer->answer_idx, {}, error});
  running_.clear();
}

void Scheduler::fail_waiting(const Error& error) {
  const std::scoped_lock lock(mutex_);
  for (auto& [client, queue] : waiting_)
    for (const std::unique_ptr<Waiting>& waiting : queue) {
      waiting->mailbox->post({waiting->answer_idx, {}, error});
      ++stats_.n_canceled;
    }
  for (const std::shared_ptr<Reading::State>& reading : readings_) reading->fail(error);
  waiting_.clear();
  turns_.clear();
  readings_.clear();
  stats_.n_waiting = 0;
}

void Scheduler::read_piece(const std::stop_token& stop) {
  std::shared_ptr<Reading::State> reading;
  {
    const std::scoped_lock lock(mutex_);
    if (readings_.empty()) return;
    reading = readings_.front();
  }
  if (!reading->is_canceled) {
    try {
      if (!reading->cache) {
        reading->cache = take_cache();
        reading->restore(prefix_);
      }
      reading->read(session_, options_.prefill_step_size, stop);
      if (!reading->is_read()) return;
      prefix_.keep(*reading->cache);
      reading->finish();
    } catch (const std::exception& failure) {
      if (stop.stop_requested()) throw;
      reading->fail(error_of(failure));
    }
  }
  if (reading->cache) give_cache(std::move(reading->cache));
  const std::scoped_lock lock(mutex_);
  readings_.pop_front();
  --stats_.n_waiting;
}

}  // namespace lille
