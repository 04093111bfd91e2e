#include "lille/logit_lens.h"

#include "model/golden.h"

namespace lille {
namespace {

class AllHiddenStates : public Observer {
 public:
  void hidden_state(int64_t, std::span<const float> values) override {
    states.emplace_back(values.begin(), values.end());
  }
  std::vector<std::vector<float>> states;
};

class LogitLens : public testing::TestWithParam<const char*> {
 protected:
  Session session_{test::load_model(test::source_path(GetParam())), {1, ""}};
  AllHiddenStates seen_;
  std::vector<float> logits_;

  void SetUp() override {
    const std::vector<int32_t> ids = {1, 7, 300, 7, 12};
    PromptCache cache(session_.model());
    const BatchItem item = {ids, &cache, LogitsFor::kAll};
    ForwardOptions options;
    options.observer = &seen_;
    const Logits logits = session_.forward({&item, 1}, options);
    logits_.assign(logits.values.begin(), logits.values.end());
  }
};

TEST_P(LogitLens, AfterTheLastBlockItIsTheModel) {
  const ModelArgs& args = session_.model().args();
  const std::vector<float>& last = seen_.states[static_cast<std::size_t>(args.n_layer)];
  const Logits logits = logit_lens(session_, last);
  EXPECT_EQ(logits.n_rows, 5);
  EXPECT_EQ(logits.vocab_size, args.vocab_size);
  EXPECT_EQ(std::vector<float>(logits.values.begin(), logits.values.end()), logits_);
  const auto one = std::span(last).subspan(2 * static_cast<std::size_t>(args.n_embd), args.n_embd);
  const Logits alone = logit_lens(session_, one);
  EXPECT_TRUE(
      std::ranges::equal(alone.row(0), std::span(logits_).subspan(2 * args.vocab_size, args.vocab_size)));
}

TEST_P(LogitLens, EarlierBlocksSayOtherThings) {
  for (int64_t hidden_idx = 0; hidden_idx < session_.model().args().n_layer; ++hidden_idx) {
    const Logits logits = logit_lens(session_, seen_.states[static_cast<std::size_t>(hidden_idx)]);
    EXPECT_NE(std::vector<float>(logits.values.begin(), logits.values.end()), logits_) << hidden_idx;
  }
}

TEST_P(LogitLens, PartsOfRowsAreRefused) {
  const std::vector<float>& first = seen_.states.front();
  test::expect_error(ErrorCode::kInvalidShape, "hidden: expected rows",
                     [&] { logit_lens(session_, std::span(first).first(first.size() - 1)); });
  test::expect_error(ErrorCode::kInvalidShape, "got 0 numbers", [&] { logit_lens(session_, {}); });
}

INSTANTIATE_TEST_SUITE_P(Models, LogitLens, testing::Values("tests/golden/mlx/toy", "models/lille-tiny-8bit"),
                         [](const auto& test) { return test.index == 0 ? "toy" : "tiny_8bit"; });

}  // namespace
}  // namespace lille
