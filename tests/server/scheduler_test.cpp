#include "server/scheduler.h"

#include <algorithm>
#include <future>
#include <thread>

#include "server/tiny.h"

namespace lille {
namespace {

using test::collect;
using test::expect_equal;
using test::Gate;
using test::kLong;

class SchedulerTest : public test::TinyModel {
 protected:
  // Twelve prompts of odd lengths, some of which begin alike.
  std::vector<AnswerRequest> requests() const {
    std::vector<AnswerRequest> all;
    const std::vector<std::string> texts = {"Once upon a time",          "x",
                                            "The river, which was wide", "A glacier is",
                                            "In the beginning",          "The cell is"};
    for (std::size_t idx = 0; idx < texts.size(); ++idx)
      all.push_back({ids(texts[idx]), sampled(idx, 3 + static_cast<int64_t>(idx) * 2)});
    const std::string shared =
        "There was a small house at the end of the road, and in the house lived an old";
    for (uint64_t idx = 0; idx < 4; ++idx)
      all.push_back({ids(shared + (idx < 2 ? " man" : " woman who")), sampled(20 + idx, 6)});
    all.push_back({std::vector<int32_t>(131, 13), sampled(9, 9)});
    all.push_back({std::vector<int32_t>(509, 11), sampled(5, 40)});
    return all;
  }
};

TEST_F(SchedulerTest, AnAnswerIsTheSameAloneAndAmongOthers) {
  std::vector<WholeAnswer> wanted;
  for (const AnswerRequest& request : requests()) wanted.push_back(alone(request));
  struct Case {
    int64_t completion_batch_size;
    int64_t prefill_step_size;
    int64_t prefix_cache_bytes;
  };
  for (const auto& [batch_size, step_size, prefix_bytes] :
       {Case{1, 64, 0}, Case{5, 7, 1 << 28}, Case{32, 64, 1 << 28}}) {
    Scheduler scheduler(session_, tokenizer_,
                        {.completion_batch_size = batch_size,
                         .prefill_step_size = step_size,
                         .prefix_cache_bytes = prefix_bytes});
    const auto answers = scheduler.answer(requests());
    const std::vector<WholeAnswer> all = collect(*answers, wanted.size());
    for (std::size_t idx = 0; idx < wanted.size(); ++idx)
      expect_equal(
          all[idx], wanted[idx],
          fmt::format("answer {} of {} at once, {} bytes of prefixes", idx, batch_size, prefix_bytes));
    const SchedulerStats stats = scheduler.stats();
    EXPECT_EQ(stats.n_finished, static_cast<int64_t>(wanted.size()));
    EXPECT_TRUE(scheduler.is_idle());
  }
}

TEST_F(SchedulerTest, RequestsOfManyThreadsGetTheirOwnAnswers) {
  const std::vector<AnswerRequest> all = requests();
  std::vector<WholeAnswer> wanted;
  for (const AnswerRequest& request : all) wanted.push_back(alone(request));
  Scheduler scheduler(session_, tokenizer_, {.completion_batch_size = 3});
  std::vector<std::future<WholeAnswer>> answers;
  for (const AnswerRequest& request : all)
    answers.push_back(std::async(std::launch::async, [&scheduler, request] {
      const auto answer = scheduler.answer({request}, std::to_string(request.prompt.size() % 3));
      return collect(*answer, 1).front();
    }));
  for (std::size_t idx = 0; idx < wanted.size(); ++idx)
    expect_equal(answers[idx].get(), wanted[idx], fmt::format("answer {}", idx));
}

TEST_F(SchedulerTest, OneThatComesLaterJoinsBetweenTwoSteps) {
  Gate gate(3);
  AnswerRequest first = {ids("Once upon a time"), sampled(1, 40)};
  const WholeAnswer first_alone = alone(first);
  first.options.logits_processors.add(gate.processor());
  const AnswerRequest second = {ids("A glacier is"), sampled(2, 5)};
  Scheduler scheduler(session_, tokenizer_);
  const auto first_answer = scheduler.answer({first});
  gate.await();
  const auto second_answer = scheduler.answer({second});
  EXPECT_EQ(scheduler.stats().n_running, 1);
  EXPECT_EQ(scheduler.stats().n_waiting, 1);
  gate.open();
  // The second has five tokens to go and the first 36: it leaves before.
  expect_equal(collect(*second_answer, 1).front(), alone(second), "the second");
  expect_equal(collect(*first_answer, 1).front(), first_alone, "the first");
}

TEST_F(SchedulerTest, TheQueueIsBounded) {
  Gate gate(0);
  AnswerRequest blocker = {ids("Once upon a time"), sampled(1, 2)};
  blocker.options.logits_processors.add(gate.processor());
  const AnswerRequest request = {ids("A glacier is"), sampled(2, 3)};
  Scheduler scheduler(session_, tokenizer_, {.completion_batch_size = 1, .max_queue = 2});
  const auto running = scheduler.answer({blocker});
  gate.await();
  const auto waiting = scheduler.answer({request});
  // A place is enough for all that is asked for together.
  auto both = scheduler.answer({request, request});
  ASSERT_NE(both, nullptr);
  EXPECT_EQ(scheduler.stats().n_waiting, 3);
  EXPECT_EQ(scheduler.answer({request}), nullptr);
  EXPECT_EQ(scheduler.read({.tokens = request.prompt, .first_scored = 1}), nullptr);
  EXPECT_EQ(scheduler.stats().n_refused, 2);
  both.reset();
  EXPECT_EQ(scheduler.stats().n_waiting, 1);
  const auto again = scheduler.answer({request});
  ASSERT_NE(again, nullptr);
  gate.open();
  collect(*running, 1);
  expect_equal(collect(*waiting, 1).front(), alone(request), "the one that waited");
  expect_equal(collect(*again, 1).front(), alone(request), "the one that came later");
}

TEST_F(SchedulerTest, ACanceledAnswerFreesItsPlaceWithinAStep) {
  Gate gate(3);
  AnswerRequest endless = {ids("Once upon a time"), sampled(1, 400)};
  endless.options.logits_processors.add(gate.processor());
  const AnswerRequest next = {ids("A glacier is"), sampled(2, 5)};
  Scheduler scheduler(session_, tokenizer_, {.completion_batch_size = 1});
  auto answers = scheduler.answer({endless});
  const auto waiting = scheduler.answer({next});
  gate.await();
  answers.reset();
  gate.open();
  expect_equal(collect(*waiting, 1).front(), alone(next), "the one that waited");
  EXPECT_EQ(gate.n_calls(), 4);
  EXPECT_EQ(scheduler.stats().n_canceled, 1);
  EXPECT_EQ(scheduler.stats().n_finished, 1);
}

TEST_F(SchedulerTest, TheNextTurnOfAChatDoesNotReadTheFirstAgain) {
  std::vector<ChatMessage> chat = {
      {"user", "What is a glacier made of, and how does it move down a valley?"}};
  AnswerRequest first = {tokenizer_.apply_chat_template(chat), {}};
  first.options.max_tokens = 20;
  Scheduler scheduler(session_, tokenizer_);
  const WholeAnswer answer = collect(*scheduler.answer({first}), 1).front();
  EXPECT_EQ(answer.last.n_cached_tokens, 0);

  AnswerRequest second = {first.prompt, sampled(3, 10)};
  for (const TokenLogprob& token : answer.tokens) second.prompt.push_back(token.token);
  const auto n_read_before = static_cast<int64_t>(second.prompt.size()) - 1;  // all but the last token
  for (const int32_t id : tokenizer_.encode(" And then?")) second.prompt.push_back(id);
  const WholeAnswer next = collect(*scheduler.answer({second}), 1).front();
  EXPECT_EQ(next.last.n_cached_tokens, n_read_before);
  expect_equal(next, alone(second), "the second turn");

  const WholeAnswer repeated = collect(*scheduler.answer({second}), 1).front();
  EXPECT_EQ(repeated.last.n_cached_tokens, static_cast<int64_t>(second.prompt.size()) - 1);
  expect_equal(repeated, next, "an exact repeat");
  EXPECT_EQ(scheduler.stats().prefix.n_hits, 2);
  EXPECT_EQ(scheduler.stats().prefix.n_lookups, 3);
}

TEST_F(SchedulerTest, SeveralAnswersToOnePromptReadItOnce) {
  const std::vector<int32_t> prompt = std::vector<int32_t>(200, 13);
  std::vector<AnswerRequest> four;
  for (uint64_t seed = 0; seed < 4; ++seed) four.push_back({prompt, sampled(seed, 6)});
  Scheduler scheduler(session_, tokenizer_);
  const std::vector<WholeAnswer> answers = collect(*scheduler.answer(four), 4);
  for (std::size_t idx = 0; idx < 4; ++idx) {
    EXPECT_EQ(answers[idx].last.n_cached_tokens, idx == 0 ? 0 : 199);
    expect_equal(answers[idx], alone(four[idx]), fmt::format("answer {}", idx));
  }
}

TEST_F(SchedulerTest, PlacesGoRoundBetweenClients) {
  Gate gate(0);
  AnswerRequest blocker = {ids("Once upon a time"), sampled(1, 1)};
  blocker.options.logits_processors.add(gate.processor());
  // Each notes its name when its only token is drawn.
  std::mutex mutex;
  std::string order;
  const auto named = [&](char name) {
    AnswerRequest request = {ids("A glacier is"), sampled(2, 1)};
    request.options.logits_processors.add(make_processor([&, name](auto, auto) {
      const std::scoped_lock lock(mutex);
      order += name;
    }));
    return request;
  };
  Scheduler scheduler(session_, tokenizer_, {.completion_batch_size = 1});
  const auto running = scheduler.answer({blocker}, "z");
  gate.await();
  const auto many = scheduler.answer({named('a'), named('a'), named('a')}, "a");
  const auto one = scheduler.answer({named('b')}, "b");
  const auto two = scheduler.answer({named('c'), named('c')}, "c");
  gate.open();
  collect(*many, 3);
  collect(*one, 1);
  collect(*two, 2);
  EXPECT_EQ(order, "abcaca");
}

TEST_F(SchedulerTest, AnAnswerThatFailsLeavesTheOthersAlone) {
  AnswerRequest broken = {ids("Once upon a time"), sampled(1, 40)};
  broken.options.logits_processors.add(
      make_processor([](auto, auto) { raise(ErrorCode::kInvalidArgument, "as planned"); }));
  AnswerRequest bad_stop = {ids("Once upon a time"), sampled(1, 40)};
  bad_stop.options.stop = {""};
  const AnswerRequest good = {ids("A glacier is"), sampled(2, 5)};
  Scheduler scheduler(session_, tokenizer_);
  const auto answers = scheduler.answer({broken, bad_stop, good});
  std::vector<std::string> errors(3);
  WholeAnswer whole;
  while (!answers->has_ended()) {
    std::optional<AnswerEvent> event = answers->next(kLong);
    ASSERT_TRUE(event);
    if (event->error)
      errors[event->answer_idx] = event->error->what();
    else if (event->answer_idx == 2)
      whole.add(std::move(event->response));
  }
  EXPECT_EQ(errors[0], "as planned");
  EXPECT_NE(errors[1].find("stop"), std::string::npos) << errors[1];
  EXPECT_EQ(errors[2], "");
  expect_equal(whole, alone(good), "the good one");
  EXPECT_EQ(scheduler.stats().n_failed, 2);
  EXPECT_TRUE(scheduler.is_idle());
}

TEST_F(SchedulerTest, CancelAllEndsWhatRunsAndWhatWaits) {
  Gate gate(3);
  AnswerRequest endless = {ids("Once upon a time"), sampled(1, 400)};
  endless.options.logits_processors.add(gate.processor());
  const AnswerRequest next = {ids("A glacier is"), sampled(2, 5)};
  Scheduler scheduler(session_, tokenizer_, {.completion_batch_size = 1});
  const auto running = scheduler.answer({endless});
  const auto waiting = scheduler.answer({next});
  const auto reading = scheduler.read({.tokens = next.prompt, .first_scored = 1});
  gate.await();
  scheduler.cancel_all();
  gate.open();
  for (Scheduler::Answers* answers : {running.get(), waiting.get()}) {
    std::optional<AnswerEvent> event;
    while (!answers->has_ended()) ASSERT_TRUE(event = answers->next(kLong));
    ASSERT_TRUE(event->error);
    EXPECT_EQ(event->error->code(), ErrorCode::kCanceled);
  }
  // It serves the next one.
  expect_equal(collect(*scheduler.answer({next}), 1).front(), alone(next), "one that comes later");
}

TEST_F(SchedulerTest, ItsEndEndsAnswersThatAreUnderWay) {
  Gate gate(3);
  AnswerRequest endless = {ids("Once upon a time"), sampled(1, 400)};
  endless.options.logits_processors.add(gate.processor());
  auto scheduler = std::make_unique<Scheduler>(session_, tokenizer_);
  auto answers = scheduler->answer({endless});
  gate.await();
  EXPECT_GE(scheduler->stats().step_s, 0);
  answers.reset();
  gate.open();
  scheduler.reset();
  EXPECT_LE(gate.n_calls(), 4);
}

TEST_F(SchedulerTest, WhatCannotBeReadIsRefusedAtOnce) {
  Scheduler scheduler(session_, tokenizer_);
  const auto refused = [&](std::vector<int32_t> prompt, std::string_view part) {
    test::expect_error(ErrorCode::kInvalidArgument, part, [&] {
      scheduler.answer({{prompt, sampled(1, 1)}});
    });
    test::expect_error(ErrorCode::kInvalidArgument, part, [&] { scheduler.read({.tokens = prompt}); });
  };
  refused({}, "expected 1 to 512 tokens (block_size), got 0");
  refused(std::vector<int32_t>(513, 5), "got 513");
  refused({5, -1}, "expected token ids from 0 to 32767, got -1");
  refused({5, 32768}, "got 32768");
  test::expect_error(ErrorCode::kInvalidArgument, "requests", [&] { scheduler.answer({}); });
  test::expect_error(ErrorCode::kInvalidArgument, "max_queue",
                     [&] { Scheduler(session_, tokenizer_, {.max_queue = 0}); });
}

}  // namespace
}  // namespace lille
