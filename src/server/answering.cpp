#include "server/answering.h"

#include <algorithm>
#include <numeric>

namespace lille {
namespace {

using Clock = std::chrono::steady_clock;

// How often somebody who waits looks whether the client is still there.
constexpr std::chrono::milliseconds kPatience(100);

[[noreturn]] void refuse_late() {
  throw RefusedRequest(504, "[server] the request took longer than --request-timeout allows", "", "timeout");
}

AnswerForm form_of(const Exchange& exchange, const GenerationRequest& request) {
  AnswerForm form;
  form.is_chat = request.is_chat;
  form.id = (request.is_chat ? "chatcmpl-" : "cmpl-") + exchange.record->id;
  form.created = exchange.created;
  form.model = exchange.model.id;
  form.logprobs = request.options.logprobs;
  form.says_usage = request.include_usage;
  return form;
}

// The prompt as `echo` shows it.
AnswerPart echo_of(const RequestPrompt& prompt, const ReadingResult& read, const Tokenizer& tokenizer) {
  AnswerPart part;
  const std::span<const int32_t> shown = std::span(prompt.tokens).subspan(prompt.n_hidden);
  part.text = tokenizer.decode(shown);
  // Scores begin with the first token that another stands before.
  for (std::size_t idx = 0; idx < shown.size(); ++idx) {
    const std::size_t token_idx = prompt.n_hidden + idx;
    ListedToken listed = {shown[idx], std::nullopt};
    if (token_idx > 0 && token_idx - 1 < read.scored.size()) {
      listed.logprob = read.scored[token_idx - 1].token.logprob;
      listed.top_logprobs = read.scored[token_idx - 1].top_logprobs;
    }
    part.tokens.push_back(std::move(listed));
  }
  return part;
}

// What is shown of each prompt before its answers; nothing without echo.
std::vector<AnswerPart> echoes(const Exchange& exchange, const GenerationRequest& request) {
  std::vector<AnswerPart> parts(request.prompts.size());
  if (!request.echo) return parts;
  for (std::size_t idx = 0; idx < parts.size(); ++idx) {
    const RequestPrompt& prompt = request.prompts[idx];
    ReadingResult read;
    if (request.options.logprobs)
      read = read_text(
          exchange,
          {.tokens = prompt.tokens, .first_scored = 1, .top_logprobs = request.options.top_logprobs});
    parts[idx] = echo_of(prompt, read, exchange.model.tokenizer);
  }
  return parts;
}

std::vector<AnswerRequest> answer_requests(const Exchange& exchange, const GenerationRequest& request) {
  std::vector<AnswerRequest> requests;
  const uint64_t seed = request.options.seed.value_or(exchange.seed);
  for (const RequestPrompt& prompt : request.prompts)
    for (int64_t idx = 0; idx < request.best_of; ++idx) {
      requests.push_back({prompt.tokens, request.answer});
      requests.back().options.seed = seed + static_cast<uint64_t>(idx);
    }
  return requests;
}

std::unique_ptr<Scheduler::Answers> submit(const Exchange& exchange, const GenerationRequest& request) {
  auto answers = exchange.scheduler.answer(answer_requests(exchange, request), exchange.request.client);
  if (!answers) refuse_full_queue();
  return answers;
}

// Notes what a piece tells of the request as a whole. Each prompt is counted once, by its first answer.
void note(RequestRecord& record, const AnswerEvent& event, int64_t best_of) {
  const GenerationResponse& response = event.response;
  if (event.error) return;
  if (response.token && !record.first_token_s)
    record.first_token_s = std::chrono::duration<double>(Clock::now() - record.start).count();
  if (response.token) ++record.usage.completion_tokens;
  const bool is_first = response.generation_tokens <= 1 && (response.token || response.finish_reason);
  if (!is_first || event.answer_idx % static_cast<std::size_t>(best_of) != 0) return;
  record.usage.prompt_tokens += response.prompt_tokens;
  record.usage.cached_tokens += response.n_cached_tokens;
}

void append(AnswerPart& part, const GenerationResponse& response) {
  part.text += response.text;
  if (response.token) part.tokens.push_back({*response.token, response.logprob, response.top_logprobs});
  part.finish_reason = response.finish_reason;
}

double mean_logprob(const AnswerPart& part) {
  double sum = 0;
  for (const ListedToken& token : part.tokens) sum += token.logprob.value_or(0);
  return part.tokens.empty() ? 0 : sum / static_cast<double>(part.tokens.size());
}

// Of the answers to each prompt the n likeliest, numbered anew, with what echo puts before them.
std::vector<AnswerPart> choose(std::vector<AnswerPart> all, const std::vector<AnswerPart>& echoed,
                               const GenerationRequest& request) {
  std::vector<AnswerPart> chosen;
  const auto best_of = static_cast<std::size_t>(request.best_of);
  for (std::size_t prompt_idx = 0; prompt_idx < request.prompts.size(); ++prompt_idx) {
    std::vector<AnswerPart> answers;
    for (std::size_t idx = 0; idx < best_of; ++idx)
      answers.push_back(std::move(all[prompt_idx * best_of + idx]));
    if (request.best_of > request.n) std::ranges::stable_sort(answers, std::greater(), mean_logprob);
    answers.resize(static_cast<std::size_t>(request.n));
    for (AnswerPart& answer : answers) {
      const AnswerPart& before = echoed[prompt_idx];
      answer.text.insert(0, before.text);
      answer.tokens.insert(answer.tokens.begin(), before.tokens.begin(), before.tokens.end());
      answer.index = static_cast<int64_t>(chosen.size());
      chosen.push_back(std::move(answer));
    }
  }
  return chosen;
}

ApiReply collect(const Exchange& exchange, const GenerationRequest& request) {
  const std::vector<AnswerPart> echoed = echoes(exchange, request);
  const auto answers = submit(exchange, request);
  std::vector<AnswerPart> parts(request.prompts.size() * static_cast<std::size_t>(request.best_of));
  while (!answers->has_ended()) {
    check_waiting(exchange);
    const std::optional<AnswerEvent> event = answers->next(kPatience);
    if (!event) continue;
    if (event->error) throw *event->error;
    note(*exchange.record, *event, request.best_of);
    append(parts[event->answer_idx], event->response);
  }
  ApiReply reply;
  reply.body = json_line(answer_json(form_of(exchange, request), choose(std::move(parts), echoed, request),
                                     exchange.record->usage, exchange.model.tokenizer));
  return reply;
}

std::string sse(const nlohmann::ordered_json& json) { return fmt::format("data: {}\n\n", json_line(json)); }

// Answers as server-sent events. For each answer: whose turn it is (in a chat) or the prompt (with echo),
// pieces of text, its end; then what was used, if that is asked for, and [DONE]. An error ends it instead.
class AnswerStream : public ApiStream {
 public:
  AnswerStream(const Exchange& exchange, const GenerationRequest& request)
      : model_(exchange.model),
        record_(exchange.record),
        deadline_(exchange.deadline),
        form_(form_of(exchange, request)),
        n_(request.n),
        echoed_(echoes(exchange, request)),
        shown_(request.prompts.size() * static_cast<std::size_t>(request.n)),
        answers_(submit(exchange, request)) {
    // Until its end is told, the client may go at any time.
    record_->outcome = "canceled";
  }

  std::optional<std::string> next(std::chrono::milliseconds patience) override {
    if (has_ended_) return std::nullopt;
    try {
      if (answers_->has_ended()) return end();
      if (Clock::now() > deadline_) refuse_late();
      const std::optional<AnswerEvent> event = answers_->next(patience);
      if (!event) return "";
      if (event->error) throw *event->error;
      return pieces(*event);
    } catch (const Error& error) {
      return fail(error);
    } catch (const std::exception& error) {
      return fail(Error(ErrorCode::kInternal, "[server] the answer could not be told"));
    }
  }

 private:
  // What was sent of one answer.
  struct Shown {
    bool has_begun = false;
    int64_t n_characters = 0;
  };

  std::string pieces(const AnswerEvent& event) {
    note(*record_, event, n_);
    Shown& shown = shown_[event.answer_idx];
    std::string text;
    if (!std::exchange(shown.has_begun, true)) text += begin(event.answer_idx, shown);
    AnswerPart part;
    part.index = static_cast<int64_t>(event.answer_idx);
    append(part, event.response);
    part.n_characters_before = shown.n_characters;
    const std::optional<FinishReason> finish_reason = std::exchange(part.finish_reason, std::nullopt);
    for (const ListedToken& token : part.tokens)
      shown.n_characters += count_characters(model_.tokenizer.token_bytes(token.token));
    if (!part.text.empty() || (form_.logprobs && !part.tokens.empty()))
      text += sse(answer_piece(form_, part, model_.tokenizer));
    if (!finish_reason) return text;
    AnswerPart last;
    last.index = part.index;
    last.finish_reason = finish_reason;
    return text + sse(answer_piece(form_, last, model_.tokenizer));
  }

  std::string begin(std::size_t answer_idx, Shown& shown) {
    const auto index = static_cast<int64_t>(answer_idx);
    if (form_.is_chat) return sse(role_piece(form_, index));
    AnswerPart part = echoed_[answer_idx / static_cast<std::size_t>(n_)];
    if (part.text.empty()) return "";
    part.index = index;
    shown.n_characters = count_characters(part.text);
    return sse(answer_piece(form_, part, model_.tokenizer));
  }

  std::string end() {
    has_ended_ = true;
    record_->outcome = "finished";
    return (form_.says_usage ? sse(usage_piece(form_, record_->usage)) : "") + "data: [DONE]\n\n";
  }

  std::string fail(const Error& error) {
    has_ended_ = true;
    record_->outcome = status_of(error) == 504 ? "timeout" : "failed";
    return fmt::format("data: {}\n\n", error_body(error));
  }

  const ServedModel& model_;
  std::shared_ptr<RequestRecord> record_;
  Clock::time_point deadline_;
  AnswerForm form_;
  int64_t n_;
  std::vector<AnswerPart> echoed_;  // by prompt
  std::vector<Shown> shown_;        // by answer
  std::unique_ptr<Scheduler::Answers> answers_;
  bool has_ended_ = false;
};

}  // namespace

void refuse_full_queue() {
  throw RefusedRequest(429, "[server] as many requests wait as --max-queue allows. Hint: come again later",
                       "", "queue_full");
}

void check_waiting(const Exchange& exchange) {
  if (exchange.request.is_gone && exchange.request.is_gone())
    throw RefusedRequest(kClientGone, "[server] the client has gone");
  if (Clock::now() > exchange.deadline) refuse_late();
}

ReadingResult read_text(const Exchange& exchange, ReadingRequest reading) {
  const auto handle = exchange.scheduler.read(std::move(reading));
  if (!handle) refuse_full_queue();
  while (true) {
    check_waiting(exchange);
    if (std::optional<ReadingResult> result = handle->wait(kPatience)) return std::move(*result);
  }
}

ApiReply answer_request(const Exchange& exchange, const GenerationRequest& request) {
  if (!request.stream) return collect(exchange, request);
  ApiReply reply;
  reply.content_type = "text/event-stream";
  reply.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  reply.stream = std::make_unique<AnswerStream>(exchange, request);
  return reply;
}

}  // namespace lille
