#include "lille/chat.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/utf8.h"

namespace lille {
namespace {

void append_characters(std::string& text, std::string_view bytes) {
  while (!bytes.empty()) {
    const Utf8Symbol symbol = first_utf8_symbol(bytes);
    text += symbol.code_point == Utf8Symbol::kNoCharacter ? "\xEF\xBF\xBD" : bytes.substr(0, symbol.n_bytes);
    bytes.remove_prefix(symbol.n_bytes);
  }
}

// How many tokens of the context a prompt may have, and how many it has after turns left.
struct Room {
  int64_t n_prompt = 0;  // more than these: turns leave
  int64_t n_kept = 0;    // at most these stay then
};

// The last token of an answer is not read again, so it needs no place. A quarter becomes free at least: turns
// that left one by one would have the rest read anew for each answer.
Room room_for(int64_t n_context, int64_t max_tokens) {
  const int64_t n_wanted = std::max<int64_t>(max_tokens - 1, 0);
  return {n_context - std::min(n_wanted, n_context / 4),
          n_context - std::clamp(n_wanted, n_context / 4, n_context / 2)};
}

// Nothing once the caller cancels; a kCanceled that a callable of the caller throws is that callable's error.
std::optional<GenerationResponse> next_unless_canceled(StreamGenerate& stream,
                                                       const std::stop_token& cancel) {
  try {
    return stream.next();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCanceled || !cancel.stop_requested()) throw;
    return std::nullopt;
  }
}

}  // namespace

ChatSession::ChatSession(Session& session, Tokenizer tokenizer, Form form)
    : session_(session), tokenizer_(std::move(tokenizer)), form_(form), cache_(make_prompt_cache(session)) {
  check_vocabulary(tokenizer_, session.model().args());
}

ChatReply ChatSession::answer(std::string_view message, StreamOptions options,
                              const OnResponse& on_response) {
  if (!is_valid_utf8(message))
    raise(ErrorCode::kInvalidArgument, "[chat] message: expected UTF-8 text, got bytes that are none");
  Conversation before = conversation_;
  conversation_.messages.push_back({"user", std::string(message)});
  try {
    return answer_last(std::move(options), on_response);
  } catch (...) {
    conversation_ = std::move(before);
    throw;
  }
}

ChatReply ChatSession::retry(StreamOptions options, const OnResponse& on_response) {
  if (conversation_.messages.empty())
    raise(ErrorCode::kInvalidArgument, "[chat] retry: expected a question to answer again, got none yet");
  Conversation before = conversation_;
  if (conversation_.messages.back().role == "assistant") conversation_.messages.pop_back();
  conversation_.context_begin = std::min(conversation_.context_begin, conversation_.messages.size() - 1);
  try {
    return answer_last(std::move(options), on_response);
  } catch (...) {
    conversation_ = std::move(before);
    throw;
  }
}

bool ChatSession::undo() {
  std::vector<ChatMessage>& messages = conversation_.messages;
  if (messages.empty()) return false;
  if (messages.back().role == "assistant") messages.pop_back();
  messages.pop_back();
  conversation_.context_begin = std::min(conversation_.context_begin, messages.size());
  return true;
}

void ChatSession::set_conversation(Conversation conversation) {
  check_conversation(conversation);
  conversation_ = std::move(conversation);
}

std::vector<int32_t> ChatSession::tokens_from(std::size_t message_idx) const {
  std::vector<int32_t> tokens =
      tokenizer_.apply_chat_template(std::span(conversation_.messages).subspan(message_idx));
  if (!form_.bos) tokens.erase(tokens.begin());
  return tokens;
}

FittedPrompt ChatSession::fit(const StreamOptions& options) const {
  const int64_t n_context = session_.model().args().block_size;
  const auto n_message = static_cast<int64_t>(tokens_from(conversation_.messages.size() - 1).size());
  if (n_message > n_context)
    raise(ErrorCode::kInvalidArgument,
          "[chat] message: expected one that the context of {} tokens (block_size) can hold, got {} tokens. "
          "Hint: shorten it",
          n_context, n_message);
  if (options.overflow == Overflow::kTruncateLeft)
    raise(ErrorCode::kInvalidArgument,
          "[chat] overflow: expected trim-turns or error, got truncate-left. Hint: a chat is cut between "
          "turns only");
  const std::vector<int32_t> prompt = tokens_from(conversation_.context_begin);
  if (options.overflow == Overflow::kError && static_cast<int64_t>(prompt.size()) > n_context)
    raise(ErrorCode::kInvalidArgument,
          "[chat] the conversation has {} tokens and the context {} (block_size). Hint: start anew, or let "
          "overflow be trim-turns",
          prompt.size(), n_context);
  if (options.overflow == Overflow::kError)
    return fit_prompt(prompt, tokenizer_, n_context, options.max_tokens, options.overflow);

  // A long last message is kept at the cost of room for its answer. fit_prompt keeps what is free of its
  // context for max_tokens.
  const Room room = room_for(n_context, options.max_tokens);
  const int64_t n_limit = std::max(room.n_prompt, n_message);
  return fit_prompt(prompt, tokenizer_, n_limit, n_limit - room.n_kept + 1, options.overflow);
}

void ChatSession::forget_turns(int64_t n_turns) {
  std::size_t& begin = conversation_.context_begin;
  for (int64_t turn_idx = 0; turn_idx < n_turns; ++turn_idx) {
    ++begin;
    if (conversation_.messages[begin].role == "assistant") ++begin;
  }
}

ChatReply ChatSession::generate_answer(StreamOptions options, const OnResponse& on_response) {
  const FittedPrompt fitted = fit(options);
  forget_turns(fitted.n_dropped_turns);
  ChatReply reply;
  reply.n_dropped_turns = fitted.n_dropped_turns;
  reply.prompt_tokens = static_cast<int64_t>(fitted.tokens.size());
  reply.cached_tokens = reusable_prefix(cache_, fitted.tokens);

  options.prompt_cache = &cache_;
  options.reuse_prefix = true;
  options.overflow = Overflow::kError;
  const std::stop_token cancel = options.cancel;
  StreamGenerate stream(session_, tokenizer_, fitted.tokens, std::move(options));
  while (std::optional<GenerationResponse> response = next_unless_canceled(stream, cancel)) {
    response->n_dropped_turns = fitted.n_dropped_turns;
    response->n_dropped_tokens = fitted.n_dropped_tokens;
    append_characters(reply.text, response->text);
    reply.finish_reason = response->finish_reason;
    reply.generation_tokens = response->generation_tokens;
    reply.prompt_s = response->prompt_s;
    reply.generation_tps = response->generation_tps;
    reply.draft = response->draft;
    if (on_response) on_response(*response);
  }
  return reply;
}

ChatReply ChatSession::answer_last(StreamOptions options, const OnResponse& on_response) {
  ChatReply reply = generate_answer(std::move(options), on_response);
  if (reply.finish_reason || !reply.text.empty()) conversation_.messages.push_back({"assistant", reply.text});
  return reply;
}

}  // namespace lille
