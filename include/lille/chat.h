#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lille/generate.h"
#include "lille/model.h"
#include "lille/tokenizer.h"

namespace lille {

/// What was said in a chat. A turn is a message of the user with the answer to it, if there is one: it may
/// have been stopped before it began.
struct Conversation {
  std::vector<ChatMessage> messages;  ///< All of them, the oldest first; valid UTF-8.
  /// Messages before this one have left the context; it begins a turn, or is messages.size().
  std::size_t context_begin = 0;
};

/// @throws Error(kInvalidArgument) that names the message for a role other than user and assistant, an answer
///   that follows no question, text that is not UTF-8, or a context_begin that begins no turn.
void check_conversation(const Conversation& conversation);

/// Writes a conversation as JSON (docs/CHAT.md): the file is there whole or not at all.
/// @throws Error(kInvalidArgument) as check_conversation; Error(kNotFound | kIo).
void save_conversation(const std::filesystem::path& path, const Conversation& conversation);

/// Reads what save_conversation writes.
/// @throws Error(kNotFound | kIo); Error(kCorruptFile) that names the file and the field for anything else,
///   a file of more than 16 MiB too; Error(kUnsupported) for a file of a newer version.
Conversation load_conversation(const std::filesystem::path& path);

/// An answer of ChatSession.
struct ChatReply {
  std::string text;                           ///< As it stands in the conversation: valid UTF-8.
  std::optional<FinishReason> finish_reason;  ///< Empty if the answer was canceled.
  int64_t n_dropped_turns = 0;                ///< Turns that left the context before this answer.
  int64_t prompt_tokens = 0;                  ///< Of the conversation as the model sees it.
  int64_t cached_tokens = 0;                  ///< Of these: known from earlier answers, not read again.
  int64_t generation_tokens = 0;              ///< Generated, the end token included.
  double prompt_s = 0;                        ///< Seconds until the first token was known.
  double generation_tps = 0;                  ///< Generated tokens per second after the prompt.
  DraftStats draft = {};                      ///< What StreamOptions::drafter did for it.
};

/// A chat with a model: the conversation, and the cache that keeps what was read of it. Each answer equals,
/// bit for bit, that of a new ChatSession with the same conversation.
class ChatSession {
 public:
  /// How the chat form is written.
  struct Form {
    bool bos = true;  ///< Begin with `<|startoftext|>`, as the model was trained.
  };
  /// Receives each piece of an answer as it is made; may throw, then the answer is not part of the
  /// conversation.
  using OnResponse = std::function<void(const GenerationResponse& response)>;

  /// @param session  outlives this object; may be used for other things between answers.
  /// @throws Error(kInvalidArgument) if the tokenizer's vocabulary is not the model's.
  ChatSession(Session& session, Tokenizer tokenizer, Form form);
  /// With the form as the model was trained.
  ChatSession(Session& session, Tokenizer tokenizer) : ChatSession(session, std::move(tokenizer), Form()) {}

  /// Says something to the model and returns its answer; both become part of the conversation. A canceled
  /// answer keeps the part that was made, and none at all if nothing was.
  /// If the context lacks room for the answer (max_tokens, but at most a quarter of it), options.overflow
  /// decides: kTrimTurns lets the oldest turns leave until a quarter of the context is free, or up to half if
  /// max_tokens is more; kError does nothing until the context is full.
  /// @param message  UTF-8; never becomes a control token.
  /// @param options  prompt_cache is not used.
  /// @throws Error(kInvalidArgument) for text that is not UTF-8, a message that the context cannot hold,
  ///   kTruncateLeft, and as StreamGenerate; whatever on_response and the callables of options throw. The
  ///   conversation then stays as it was.
  ChatReply answer(std::string_view message, StreamOptions options, const OnResponse& on_response = {});

  /// Answers the last question again; the new answer replaces the old one.
  /// @throws Error(kInvalidArgument) if there is no question; else as answer().
  ChatReply retry(StreamOptions options, const OnResponse& on_response = {});

  /// Takes back the last turn; returns false if there is none.
  bool undo();

  /// What was said so far.
  const Conversation& conversation() const noexcept { return conversation_; }
  /// Goes on with another conversation; an empty one starts anew.
  /// @throws Error(kInvalidArgument) as check_conversation; the conversation then stays as it was.
  void set_conversation(Conversation conversation);

 private:
  std::vector<int32_t> tokens_from(std::size_t message_idx) const;
  FittedPrompt fit(const StreamOptions& options) const;
  void forget_turns(int64_t n_turns);
  ChatReply generate_answer(StreamOptions options, const OnResponse& on_response);
  ChatReply answer_last(StreamOptions options, const OnResponse& on_response);

  Session& session_;
  Tokenizer tokenizer_;
  Form form_;
  Conversation conversation_;
  PromptCache cache_;
};

}  // namespace lille
