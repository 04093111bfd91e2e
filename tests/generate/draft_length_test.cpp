#include "generate/draft_length.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace lille {
namespace {

constexpr double kPlainPass = 0.010;  // seconds of a pass of one row

/// What a machine and a text are like.
struct World {
  double row_s = 0;    // of each further row
  double token_s = 0;  // of a drafted token
  std::function<int64_t(int64_t pass_idx, int64_t n_drafted)> accepted = [](int64_t, int64_t) { return 0; };
};

/// How drafting went.
struct Drafting {
  double seconds = 0;
  int64_t n_tokens = 0;
  int64_t n_drafting = 0;  // passes with a draft
  int64_t last_length = 0;
};

Drafting drive(DraftLength& length, const World& world, int64_t n_passes) {
  Drafting drafting;
  for (int64_t pass_idx = 0; pass_idx < n_passes; ++pass_idx) {
    const int64_t n_drafted = length.choose(100);
    const double draft_s = world.token_s * static_cast<double>(n_drafted);
    const double pass_s = kPlainPass + world.row_s * static_cast<double>(n_drafted);
    if (n_drafted > 0) length.note_draft(n_drafted, draft_s);
    length.note_pass(1 + n_drafted, pass_s);
    const int64_t n_accepted = std::min(n_drafted, world.accepted(pass_idx, n_drafted));
    length.note_outcome(n_drafted, n_accepted);
    drafting.seconds += draft_s + pass_s;
    drafting.n_tokens += 1 + n_accepted;
    drafting.n_drafting += n_drafted > 0 ? 1 : 0;
    drafting.last_length = n_drafted;
  }
  return drafting;
}

int64_t always(int64_t, int64_t n_drafted) { return n_drafted; }
int64_t never(int64_t, int64_t) { return 0; }

TEST(DraftLength, MeasuresAPlainPassFirst) {
  DraftLength length(4);
  EXPECT_EQ(length.choose(100), 0);
  length.note_pass(1, kPlainPass);
  EXPECT_GT(length.choose(100), 0);
}

TEST(DraftLength, IsAtMostWhatIsAllowedAndPossible) {
  DraftLength length(3);
  EXPECT_EQ(drive(length, {.row_s = 0.01 * kPlainPass, .accepted = always}, 50).last_length, 3);
  EXPECT_EQ(length.choose(2), 2);
  EXPECT_EQ(length.choose(0), 0);
  EXPECT_EQ(length.choose(100), 3);
}

TEST(DraftLength, RightDraftsOnCheapRowsAreAsLongAsTheyMayBe) {
  DraftLength length(8);
  const Drafting drafting = drive(length, {.row_s = 0.05 * kPlainPass, .accepted = always}, 200);
  EXPECT_EQ(drafting.last_length, 8);
  EXPECT_GT(drafting.n_tokens, 1500);
}

TEST(DraftLength, WrongDraftsEndAndCostLittle) {
  DraftLength length(8);
  const Drafting drafting =
      drive(length, {.row_s = 0.2 * kPlainPass, .token_s = 0.1 * kPlainPass, .accepted = never}, 5000);
  EXPECT_LT(drafting.n_drafting, 60);
  EXPECT_GT(drafting.n_drafting, 20) << "it tries again now and then";
  EXPECT_LT(drafting.seconds, 1.01 * 5000 * kPlainPass);
}

TEST(DraftLength, WhatDoesNotPayIsNotDone) {
  DraftLength expensive_rows(8);
  EXPECT_LT(drive(expensive_rows, {.row_s = kPlainPass, .accepted = always}, 1000).n_drafting, 100);
  DraftLength expensive_drafts(8);
  EXPECT_LT(
      drive(expensive_drafts, {.row_s = 0.02 * kPlainPass, .token_s = kPlainPass, .accepted = always}, 1000)
          .n_drafting,
      100);
}

TEST(DraftLength, ComesBackWhenTheTextBecomesPredictable) {
  DraftLength length(8);
  const World world = {.row_s = 0.1 * kPlainPass, .accepted = never};
  drive(length, world, 3000);
  const Drafting later = drive(length, {.row_s = world.row_s, .accepted = always}, 400);
  EXPECT_EQ(later.last_length, 8);
  EXPECT_GT(later.n_tokens, 800);
}

// Two right ones, then a wrong one: the third is never worth its row.
TEST(DraftLength, IsNoLongerThanTheRunsOfRightTokens) {
  DraftLength length(8);
  const World world = {.row_s = 0.1 * kPlainPass, .accepted = [](int64_t, int64_t) { return int64_t{2}; }};
  EXPECT_EQ(drive(length, world, 300).last_length, 2);
}

TEST(DraftLength, OneDelayedPassIsForgotten) {
  DraftLength length(4);
  const World world = {.row_s = 0.05 * kPlainPass, .accepted = always};
  length.note_pass(1, kPlainPass);
  for (int64_t n_rows = 2; n_rows <= 5; ++n_rows) length.note_pass(n_rows, 100 * kPlainPass);
  EXPECT_EQ(length.choose(100), 0) << "the test needs a delay that shows";
  EXPECT_EQ(drive(length, world, 1000).last_length, 4);
}

TEST(DraftLength, EqualNotesGiveEqualLengths) {
  const World world = {.row_s = 0.15 * kPlainPass,
                       .token_s = 0.05 * kPlainPass,
                       .accepted = [](int64_t pass_idx, int64_t) { return pass_idx % 4; }};
  DraftLength one(8);
  DraftLength other(8);
  for (int round = 0; round < 200; ++round)
    ASSERT_EQ(drive(one, world, 1).last_length, drive(other, world, 1).last_length) << round;
}

}  // namespace
}  // namespace lille
