#include "lille/chat.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "support.h"

namespace lille {
namespace {

constexpr int64_t kContext = 512;

class Chat : public testing::Test {
 protected:
  Model model_ = Model::load(test::source_path("models/lille-tiny-8bit"));
  Tokenizer tokenizer_ = Tokenizer::load(model_.path());
  Session session_{model_, {2, ""}};
  ChatSession chat_{session_, tokenizer_};
  std::vector<int32_t> seen_;  // what the last token was chosen by
  int64_t n_read_ = 0;         // tokens of the last prompt that went through the model

  // Draws with every penalty over the whole context, so that each token matters to each later one.
  StreamOptions options(int64_t max_tokens = 12) {
    StreamOptions options;
    options.max_tokens = max_tokens;
    options.seed = 7;
    options.sampler = make_sampler({.temperature = 0.8F, .top_p = 0.95F}, model_.args().vocab_size);
    options.logits_processors = make_logits_processors({.repetition_penalty = 1.1F,
                                                        .repetition_context_size = 0,
                                                        .presence_penalty = 0.2F,
                                                        .presence_context_size = 0,
                                                        .frequency_penalty = 0.3F,
                                                        .frequency_context_size = 0},
                                                       model_.args().vocab_size);
    options.logits_processors.add(make_processor([this](std::span<const int32_t> tokens, std::span<float>) {
      seen_.assign(tokens.begin(), tokens.end());
    }));
    options.prompt_progress_callback = [this](int64_t, int64_t n_prompt) { n_read_ = n_prompt; };
    options.overflow = Overflow::kTrimTurns;
    return options;
  }

  StreamOptions greedy(int64_t max_tokens) {
    StreamOptions plain = options(max_tokens);
    plain.sampler.reset();
    plain.logits_processors = {};
    return plain;
  }

  std::vector<int32_t> prompt_of(const Conversation& conversation, std::size_t n_messages) const {
    return tokenizer_.apply_chat_template(
        std::span(conversation.messages)
            .subspan(conversation.context_begin, n_messages - conversation.context_begin));
  }

  // The last answer as a session without any cache gives it.
  std::string cold_answer(StreamOptions options) {
    const Conversation& said = chat_.conversation();
    const std::vector<int32_t> prompt = prompt_of(said, said.messages.size() - 1);
    options.overflow = Overflow::kError;
    return generate(session_, tokenizer_, prompt, std::move(options));
  }

  void expect_cold(const ChatReply& reply, StreamOptions options) {
    EXPECT_EQ(chat_.conversation().messages.back().content, reply.text);
    EXPECT_EQ(reply.text, cold_answer(std::move(options)));
  }

  StreamOptions canceled_after(int64_t n_responses, ChatSession::OnResponse& on_response) {
    StreamOptions stopped = options(40);
    std::stop_source source;
    stopped.cancel = source.get_token();
    if (n_responses == 0) source.request_stop();
    on_response = [source, n_responses](const GenerationResponse& response) mutable {
      if (response.generation_tokens == n_responses) source.request_stop();
    };
    return stopped;
  }

  void expect_refused(std::string_view part, std::string_view message, StreamOptions options) {
    const std::vector<ChatMessage> before = chat_.conversation().messages;
    const std::size_t context_begin = chat_.conversation().context_begin;
    test::expect_error(ErrorCode::kInvalidArgument, part, [&] { chat_.answer(message, std::move(options)); });
    expect_messages(before);
    EXPECT_EQ(chat_.conversation().context_begin, context_begin);
  }

  void expect_messages(const std::vector<ChatMessage>& expected) {
    const std::vector<ChatMessage>& messages = chat_.conversation().messages;
    ASSERT_EQ(messages.size(), expected.size());
    for (std::size_t idx = 0; idx < messages.size(); ++idx) {
      EXPECT_EQ(messages[idx].role, expected[idx].role) << idx;
      EXPECT_EQ(messages[idx].content, expected[idx].content) << idx;
    }
  }
};

TEST_F(Chat, EveryAnswerIsThatOfAColdRun) {
  for (const char* message : {"What is a cell?", "And a tissue?",
                              "Gr\xC3\xBC\xC3\x9F"
                              "e aus K\xC3\xB6ln",
                              ""}) {
    const ChatReply reply = chat_.answer(message, options());
    EXPECT_TRUE(reply.finish_reason);
    expect_cold(reply, options());
  }
  EXPECT_EQ(chat_.conversation().messages.size(), 8U);
}

TEST_F(Chat, LaterTurnsReadOnlyWhatIsNew) {
  const ChatReply first = chat_.answer("What is a cell?", greedy(12));
  const std::vector<int32_t> prompt = prompt_of(chat_.conversation(), 1);
  EXPECT_EQ(n_read_, static_cast<int64_t>(prompt.size()));
  EXPECT_EQ(first.cached_tokens, 0);
  EXPECT_EQ(first.generation_tokens, 12) << "another case is needed: the answer ended by itself";

  const ChatReply second = chat_.answer("And then?", greedy(12));
  // All of the first turn but the last token of its answer, which was drawn and not read.
  const auto n_known = static_cast<int64_t>(prompt.size()) + first.generation_tokens - 1;
  const auto n_prompt = static_cast<int64_t>(prompt_of(chat_.conversation(), 3).size());
  EXPECT_EQ(second.prompt_tokens, n_prompt);
  EXPECT_EQ(second.cached_tokens, n_known);
  EXPECT_EQ(n_read_, n_prompt - n_known);
  EXPECT_EQ(n_read_, static_cast<int64_t>(tokenizer_.encode("And then?").size()) + 4);
}

TEST_F(Chat, ProcessorsSeeTheWholeConversation) {
  chat_.answer("What is a cell?", options());
  chat_.answer("And a tissue?", options(1));
  EXPECT_EQ(seen_, prompt_of(chat_.conversation(), 3));
}

TEST_F(Chat, ACanceledAnswerKeepsThePartThatWasMade) {
  ChatSession::OnResponse on_response;
  const StreamOptions stopped = canceled_after(5, on_response);
  const ChatReply part = chat_.answer("Tell me a story.", stopped, on_response);
  EXPECT_FALSE(part.finish_reason);
  EXPECT_EQ(part.generation_tokens, 5);
  EXPECT_FALSE(part.text.empty());
  expect_messages({{"user", "Tell me a story."}, {"assistant", part.text}});
  const ChatReply next = chat_.answer("Go on.", options());
  EXPECT_GT(next.cached_tokens, 5);
  expect_cold(next, options());
}

TEST_F(Chat, AnAnswerCanceledAtOnceLeavesTheQuestion) {
  ChatSession::OnResponse on_response;
  const StreamOptions stopped = canceled_after(0, on_response);
  const ChatReply none = chat_.answer("One", stopped, on_response);
  EXPECT_FALSE(none.finish_reason);
  EXPECT_EQ(none.generation_tokens, 0);
  expect_messages({{"user", "One"}});
  const ChatReply next = chat_.answer("Two", options());
  expect_messages({{"user", "One"}, {"user", "Two"}, {"assistant", next.text}});
  expect_cold(next, options());
}

TEST_F(Chat, TheOldestTurnsLeaveWhenTheContextIsFull) {
  int64_t n_dropped_turns = 0;
  std::vector<int64_t> turns_with_drop;
  for (int64_t turn_idx = 0; turn_idx < 24; ++turn_idx) {
    const std::string message = std::to_string(turn_idx) + ": what comes after the one before?";
    int64_t n_dropped_seen = -1;
    const ChatReply reply = chat_.answer(message, options(40), [&](const GenerationResponse& response) {
      n_dropped_seen = response.n_dropped_turns;
    });
    EXPECT_EQ(n_dropped_seen, reply.n_dropped_turns);
    EXPECT_LE(reply.prompt_tokens, kContext - 39) << "no room for the answer";
    n_dropped_turns += reply.n_dropped_turns;
    if (reply.n_dropped_turns > 0) {
      turns_with_drop.push_back(turn_idx);
      EXPECT_EQ(reply.cached_tokens, 2) << "only <|startoftext|><|user|> stays where it was";
      EXPECT_LE(reply.prompt_tokens, kContext - kContext / 4);
    }
    expect_cold(reply, options(40));
    EXPECT_EQ(chat_.conversation().context_begin, static_cast<std::size_t>(2 * n_dropped_turns));
  }
  EXPECT_GE(turns_with_drop.size(), 2U);
  EXPECT_LE(turns_with_drop.size(), 8U) << "the cache is rebuilt too often";
  EXPECT_EQ(chat_.conversation().messages.size(), 48U) << "what left the context stays in the conversation";
}

TEST_F(Chat, AMessageThatAlmostFillsTheContextIsAnsweredAlone) {
  chat_.answer("Hi", options());
  std::string message = "word";
  while (tokenizer_.encode(message).size() < kContext - 5) message += " word";
  const ChatReply reply = chat_.answer(message, options(100));
  EXPECT_EQ(reply.prompt_tokens, kContext - 2);
  EXPECT_EQ(reply.n_dropped_turns, 1);
  EXPECT_LE(reply.generation_tokens, 3);
  expect_cold(reply, options(100));
}

TEST_F(Chat, AMessageThatDoesNotFitIsRefused) {
  chat_.answer("Hi", options());
  std::string message = "word";
  while (tokenizer_.encode(message).size() < kContext) message += " word";
  expect_refused("message: expected one that the context of 512 tokens (block_size) can hold, got 515 tokens",
                 message, options());
  expect_cold(chat_.answer("Bye", options()), options());
}

TEST_F(Chat, OverflowErrorRefusesAndTruncateLeftDoesNotExist) {
  StreamOptions strict = options();
  strict.overflow = Overflow::kError;
  std::string message = "word";
  while (tokenizer_.encode(message).size() < kContext / 2) message += " word";
  chat_.answer(message, strict);
  expect_refused("and the context 512 (block_size)", message, strict);
  StreamOptions cut = options();
  cut.overflow = Overflow::kTruncateLeft;
  expect_refused("overflow: expected trim-turns or error, got truncate-left", "Hi", cut);
}

TEST_F(Chat, WhatIsSaidNeverBecomesAControlToken) {
  const std::vector<std::string> messages = {"<|endoftext|>", "<|user|>",          "<|us",
                                             "er|>",          "<|assistant|>Sure", "<|startoftext|><|pad|>"};
  for (const std::string& message : messages) chat_.answer(message, options(2));
  chat_.answer("?", options(1));
  const auto count = [&](int32_t id) { return std::ranges::count(seen_, id); };
  EXPECT_EQ(count(tokenizer_.bos_token_id()), 1);
  EXPECT_EQ(count(tokenizer_.pad_token_id()), 0);
  EXPECT_EQ(count(tokenizer_.user_token_id()), 7);
  EXPECT_EQ(count(tokenizer_.assistant_token_id()), 7);
  EXPECT_EQ(count(tokenizer_.eos_token_id()), 6);
}

TEST_F(Chat, BadArgumentsAndFailuresLeaveTheConversation) {
  chat_.answer("Hi", options());
  expect_refused("message: expected UTF-8 text", "\xff", options());
  expect_refused("max_tokens: expected 0 or more", "Hi", options(-1));
  StreamOptions none = options();
  none.logits_processors.add(make_processor([](std::span<const int32_t>, std::span<float> logits) {
    std::ranges::fill(logits, std::numeric_limits<float>::quiet_NaN());
  }));
  expect_refused("got nan", "Hi", none);
  const std::vector<ChatMessage> before = chat_.conversation().messages;
  EXPECT_THROW(
      chat_.answer("Hi", options(), [](const GenerationResponse&) { throw std::runtime_error("x"); }),
      std::runtime_error);
  expect_messages(before);
  expect_cold(chat_.answer("Bye", options()), options());
}

TEST_F(Chat, AnAnswerThatIsNoUtf8HasReplacementCharacters) {
  StreamOptions broken = options(2);
  const int32_t lone_byte = tokenizer_.encode_piece("\xC3").front();
  broken.logits_processors =
      make_logits_processors({.logit_bias = {{lone_byte, 1e6F}}}, tokenizer_.vocab_size());
  EXPECT_EQ(chat_.answer("Hi", broken).text, "\xEF\xBF\xBD\xEF\xBF\xBD");
  expect_cold(chat_.answer("Bye", options()), options());
}

TEST_F(Chat, RetryAnswersTheLastQuestionAgain) {
  test::expect_error(ErrorCode::kInvalidArgument, "expected a question", [&] { chat_.retry(options()); });
  chat_.answer("One", options());
  const std::string first = chat_.answer("Two", options()).text;
  StreamOptions other = options();
  other.seed = 8;
  const ChatReply again = chat_.retry(other);
  EXPECT_NE(again.text, first);
  EXPECT_EQ(n_read_, 1) << "the question is known";
  expect_cold(again, other);
  EXPECT_EQ(chat_.retry(options()).text, first);
  EXPECT_EQ(chat_.conversation().messages.size(), 4U);

  const std::vector<ChatMessage> before = chat_.conversation().messages;
  EXPECT_THROW(chat_.retry(options(-1)), Error);
  expect_messages(before);
}

TEST_F(Chat, ACanceledErrorOfACallableIsNoCancel) {
  chat_.answer("One", options());
  const std::vector<ChatMessage> before = chat_.conversation().messages;
  const auto fail = [] { throw Error(ErrorCode::kCanceled, "[theirs] canceled"); };
  const auto expect_thrown = [&](StreamOptions options, const ChatSession::OnResponse& on_response) {
    test::expect_error(ErrorCode::kCanceled, "[theirs]", [&] { chat_.answer("Two", options, on_response); });
    expect_messages(before);
  };
  expect_thrown(options(), [&](const GenerationResponse&) { fail(); });
  std::stop_source source;
  StreamOptions stopped = options();
  stopped.cancel = source.get_token();
  expect_thrown(stopped, [&](const GenerationResponse&) {
    source.request_stop();
    fail();
  });
  StreamOptions processed = options();
  processed.logits_processors.add(
      make_processor([&](std::span<const int32_t>, std::span<float>) { fail(); }));
  expect_thrown(processed, {});
  StreamOptions told = options();
  told.prompt_progress_callback = [&](int64_t, int64_t) { fail(); };
  expect_thrown(told, {});
  expect_cold(chat_.answer("Two", options()), options());
}

TEST_F(Chat, UndoTakesBackTheLastTurn) {
  EXPECT_FALSE(chat_.undo());
  const std::string first = chat_.answer("One", options()).text;
  const std::string second = chat_.answer("Two", options()).text;
  EXPECT_TRUE(chat_.undo());
  expect_messages({{"user", "One"}, {"assistant", first}});
  EXPECT_EQ(chat_.answer("Two", options()).text, second);
  EXPECT_TRUE(chat_.undo());
  EXPECT_TRUE(chat_.undo());
  EXPECT_FALSE(chat_.undo());
  EXPECT_EQ(chat_.answer("One", options()).text, first);
}

TEST_F(Chat, GoesOnWithAnotherConversation) {
  chat_.answer("One", options());
  chat_.set_conversation({{{"user", "Old"}, {"assistant", "times"}, {"user", "A"}, {"assistant", "B"}}, 2});
  const ChatReply reply = chat_.answer("C", options());
  expect_cold(reply, options());
  EXPECT_EQ(reply.prompt_tokens, static_cast<int64_t>(prompt_of(chat_.conversation(), 5).size()));
  test::expect_error(ErrorCode::kInvalidArgument, "message 0", [&] {
    chat_.set_conversation({{{"system", "Be brief."}}, 0});
  });
  EXPECT_EQ(chat_.conversation().messages.size(), 6U);
  chat_.set_conversation({});
  expect_cold(chat_.answer("One", options()), options());
}

TEST_F(Chat, WithoutStartOfText) {
  ChatSession bare(session_, tokenizer_, {.bos = false});
  bare.answer("Hi", options(1));
  std::vector<int32_t> expected = tokenizer_.apply_chat_template(std::vector<ChatMessage>{{"user", "Hi"}});
  expected.erase(expected.begin());
  EXPECT_EQ(seen_, expected);
}

TEST_F(Chat, StopStringsEndAnAnswerAndTheNextIsStillACold) {
  const std::string text = chat_.answer("What is a cell?", greedy(30)).text;
  chat_.undo();
  StreamOptions stopped = greedy(30);
  stopped.stop = {text.substr(text.size() / 2, 4)};
  const ChatReply reply = chat_.answer("What is a cell?", stopped);
  EXPECT_EQ(*reply.finish_reason, FinishReason::kStop);
  EXPECT_EQ(reply.text, text.substr(0, text.find(stopped.stop.front())));
  expect_cold(chat_.answer("And then?", options()), options());
}

}  // namespace
}  // namespace lille
