// One answer: the logits of a row do not depend on the batch, the chunks, the threads or the cache.

#include "model/session.h"

#include <random>
#include <thread>

#include "model/golden.h"

namespace lille {
namespace {

std::vector<int32_t> random_ids(int64_t n, int64_t vocab_size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids;
  for (int64_t idx = 0; idx < n; ++idx)
    ids.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(vocab_size)));
  return ids;
}

// A float32 checkpoint, one with odd sizes, and an 8-bit one with bfloat16 scales.
struct Case {
  const char* name;
  const char* folder;
  int64_t n_tokens;
};

class OneAnswer : public testing::TestWithParam<std::tuple<Case, std::string>> {
 protected:
  Model model_ = test::load_model(test::source_path(std::get<0>(GetParam()).folder));
  SessionOptions options_ = {2, std::get<1>(GetParam())};
  std::vector<int32_t> ids_ = random_ids(std::get<0>(GetParam()).n_tokens, model_.args().vocab_size, 7);
};

TEST_P(OneAnswer, ChunksDoNotMatter) {
  Session session(model_, options_);
  const std::vector<float> whole = test::all_logits(session, ids_);
  const std::vector<std::vector<std::size_t>> ways = {{},           {1, 2, 3, 4, 5}, {7}, {ids_.size() - 1},
                                                      {16, 16, 16}, {13, 1, 8}};
  for (const auto& chunks : ways) EXPECT_EQ(test::chunked_logits(session, ids_, chunks), whole);
}

TEST_P(OneAnswer, ChunksAndThreadsDoNotMatterForANarrowCache) {
  for (const CacheType type : {CacheType::kBF16, CacheType::kQ8_0}) {
    if (type == CacheType::kQ8_0 && model_.args().head_dim() % 32 != 0) continue;
    Session session(model_, options_);
    const std::size_t at_once[] = {ids_.size()};
    const std::vector<float> whole = test::chunked_logits(session, ids_, at_once, type);
    EXPECT_NE(whole, test::all_logits(session, ids_)) << "the cache's type has no effect";
    const std::size_t chunks[] = {5, 9};
    EXPECT_EQ(test::chunked_logits(session, ids_, chunks, type), whole);
    Session other(model_, {3, options_.kernels});
    EXPECT_EQ(test::chunked_logits(other, ids_, at_once, type), whole);
  }
}

TEST_P(OneAnswer, ThreadsDoNotMatter) {
  Session session(model_, {1, options_.kernels});
  const std::vector<float> whole = test::all_logits(session, ids_);
  for (const int64_t n_threads : {2, 7}) {
    Session other(model_, {n_threads, options_.kernels});
    EXPECT_EQ(test::all_logits(other, ids_), whole) << n_threads << " threads";
  }
}

TEST_P(OneAnswer, TheRestOfTheBatchDoesNotMatter) {
  Session session(model_, options_);
  const std::vector<float> whole = test::all_logits(session, ids_);
  const auto vocab_size = static_cast<std::size_t>(model_.args().vocab_size);
  // The sequence in the middle of others, in two passes, while the others stand at other positions.
  const std::vector<int32_t> before = random_ids(9, model_.args().vocab_size, 1);
  const std::vector<int32_t> after = random_ids(3, model_.args().vocab_size, 2);
  const std::size_t half = ids_.size() / 2;
  PromptCache cache = make_prompt_cache(model_);
  PromptCache cache_before = make_prompt_cache(model_);
  PromptCache cache_after = make_prompt_cache(model_);
  const BatchItem first[] = {{before, &cache_before, LogitsFor::kNone},
                             {std::span(ids_).first(half), &cache, LogitsFor::kAll}};
  std::vector<float> batched;
  Logits logits = session.forward(first);
  batched.assign(logits.values.begin(), logits.values.end());
  const BatchItem second[] = {{after, &cache_before, LogitsFor::kLast},
                              {std::span(ids_).subspan(half), &cache, LogitsFor::kAll},
                              {after, &cache_after, LogitsFor::kAll}};
  logits = session.forward(second);
  batched.insert(batched.end(), logits.values.begin() + static_cast<std::ptrdiff_t>(vocab_size),
                 logits.values.begin() + static_cast<std::ptrdiff_t>((1 + ids_.size() - half) * vocab_size));
  EXPECT_EQ(batched, whole);
}

TEST_P(OneAnswer, LastLogitsEqualAllLogits) {
  Session session(model_, options_);
  const std::vector<float> whole = test::all_logits(session, ids_);
  PromptCache cache = make_prompt_cache(model_);
  const BatchItem item = {ids_, &cache, LogitsFor::kLast};
  const Logits last = session.forward(std::span(&item, 1));
  ASSERT_EQ(last.n_rows, 1);
  EXPECT_TRUE(
      std::ranges::equal(last.values, std::span(whole).last(static_cast<std::size_t>(last.vocab_size))));
}

TEST_P(OneAnswer, ATrimmedCacheGivesWhatAFreshOneGives) {
  Session session(model_, options_);
  const std::vector<float> whole = test::all_logits(session, ids_);
  PromptCache cache = make_prompt_cache(model_);
  const std::vector<int32_t> wrong = random_ids(6, model_.args().vocab_size, 3);
  const std::size_t half = ids_.size() / 2;
  const BatchItem first = {std::span(ids_).first(half), &cache, LogitsFor::kNone};
  session.forward(std::span(&first, 1));
  const BatchItem detour = {wrong, &cache, LogitsFor::kNone};
  session.forward(std::span(&detour, 1));
  EXPECT_EQ(cache.trim(6), 6);
  const BatchItem rest = {std::span(ids_).subspan(half), &cache, LogitsFor::kAll};
  const Logits logits = session.forward(std::span(&rest, 1));
  EXPECT_TRUE(std::ranges::equal(logits.values, std::span(whole).last(logits.values.size())));
}

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const kernels::KernelTable* table : kernels::supported_kernel_tables())
    names.emplace_back(table->name);
  return names;
}

// Every small model under every table; the trained one, too slow for the scalar reference, under the others.
std::vector<std::tuple<Case, std::string>> cases() {
  std::vector<std::tuple<Case, std::string>> all;
  for (const std::string& kernels : kernel_names()) {
    all.emplace_back(Case{"toy", "tests/golden/mlx/toy", 40}, kernels);
    all.emplace_back(Case{"odd", "tests/golden/mlx/odd", 40}, kernels);
    all.emplace_back(Case{"q8", "tests/golden/mlx/quant/q8_g64", 40}, kernels);
    if (kernels != "reference") all.emplace_back(Case{"tiny_8bit", "models/lille-tiny-8bit", 40}, kernels);
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, OneAnswer, testing::ValuesIn(cases()), [](const auto& test) {
  return std::string(std::get<0>(test.param).name) + "_" + std::get<1>(test.param);
});

TEST(Session, KernelsOfAllInstructionSetsAgree) {
  const Model model = test::load_model(test::source_path("models/lille-tiny-8bit"));
  const std::vector<int32_t> ids = random_ids(20, model.args().vocab_size, 4);
  Session reference(model, {1, "reference", true});
  const std::vector<float> wanted = test::all_logits(reference, ids);
  for (const std::string& name : kernel_names()) {
    Session session(model, {2, name, true});
    EXPECT_EQ(session.kernels(), name);
    // Logits of up to 30 through 12 layers of float32 sums against double ones.
    test::expect_near(test::all_logits(session, ids), wanted, 3e-4, name);
  }
}

TEST(Session, FloatWeightsMeetFloatActivations) {
  Session session(test::load_model(test::source_path("tests/golden/mlx/toy")));
  EXPECT_EQ(session.kernels().find("q8"), std::string_view::npos);
}

TEST(Session, ManyThreadsShareOneModel) {
  const Model model = test::load_model(test::source_path("tests/golden/mlx/toy"));
  const std::vector<int32_t> ids = random_ids(30, model.args().vocab_size, 5);
  Session serial(model, {1, ""});
  const std::vector<float> wanted = test::all_logits(serial, ids);
  std::vector<std::vector<float>> answers(8);
  std::vector<std::thread> threads;
  for (auto& answer : answers)
    threads.emplace_back([&] {
      Session session(model, {1, ""});
      answer = test::all_logits(session, ids);
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& answer : answers) EXPECT_EQ(answer, wanted);
}

class SessionErrors : public testing::Test {
 protected:
  Model model_ = test::load_model(test::source_path("tests/golden/mlx/toy"));
  Session session_{model_, {1, ""}};
  PromptCache cache_ = make_prompt_cache(model_);
  std::vector<int32_t> ids_ = {1, 2, 3};

  void expect_refused(std::string_view part, std::vector<BatchItem> batch) {
    test::expect_error(ErrorCode::kInvalidArgument, part, [&] { session_.forward(batch); });
    EXPECT_EQ(cache_.offset(), 0);
  }
};

TEST_F(SessionErrors, BadBatches) {
  expect_refused("at least one sequence", {});
  expect_refused("item 0: expected at least one token", {{{}, &cache_}});
  expect_refused("item 0: expected a cache", {{ids_, nullptr}});
  expect_refused("items 0 and 1 share a cache", {{ids_, &cache_}, {ids_, &cache_}});
  PromptCache narrow = make_prompt_cache(model_, CacheType::kBF16);
  expect_refused("item 1: expected all caches of a pass to have one type",
                 {{ids_, &cache_}, {ids_, &narrow}});
  PromptCache foreign = make_prompt_cache(test::load_model(test::source_path("tests/golden/mlx/odd")));
  expect_refused("item 0: expected a cache of this session's model", {{ids_, &foreign}});
}

TEST_F(SessionErrors, HeadsThatDoNotFitTheCachesBlocks) {
  const Model odd = test::load_model(test::source_path("tests/golden/mlx/odd"));
  const SessionOptions options = {.n_threads = 1, .cache_type = CacheType::kQ8_0};
  const std::string part = "kv_bits 8: expected a model whose head_dim is a multiple of 32";
  test::expect_error(ErrorCode::kInvalidArgument, part, [&] { Session session(odd, options); });
  test::expect_error(ErrorCode::kInvalidArgument, part, [&] { PromptCache(odd, CacheType::kQ8_0); });
}

TEST_F(SessionErrors, ACacheOfTheSameShapeButOfAnotherModelOrOtherKernels) {
  PromptCache foreign =
      make_prompt_cache(test::load_model(test::source_path("tests/golden/mlx/toy"), RopeLayout::kHalf));
  expect_refused("item 0: expected a cache of this session's model", {{ids_, &foreign}});
  Session reference(model_, {1, "reference"});
  const BatchItem item = {ids_, &cache_};
  reference.forward(std::span(&item, 1));
  if (session_.kernels() == "reference") GTEST_SKIP() << "this machine has no other kernels";
  test::expect_error(ErrorCode::kInvalidArgument, "got one filled by reference",
                     [&] { session_.forward(std::span(&item, 1)); });
  cache_.trim(3);
  session_.forward(std::span(&item, 1));
  EXPECT_EQ(cache_.kernels(), session_.kernels());
}

TEST_F(SessionErrors, IdsOutsideTheVocabulary) {
  for (const int32_t id : {-1, 512, 2147483647}) {
    const std::vector<int32_t> ids = {0, id};
    expect_refused("expected token ids from 0 to 511, got " + std::to_string(id), {{ids, &cache_}});
  }
}

TEST_F(SessionErrors, MoreTokensThanTheContext) {
  const std::vector<int32_t> ids(65, 1);
  expect_refused("65 tokens after 0 do not fit the context of block_size 64", {{ids, &cache_}});
  const BatchItem fits = {std::span(ids).first(64), &cache_};
  session_.forward(std::span(&fits, 1));
  const BatchItem one_more = {std::span(ids).first(1), &cache_};
  test::expect_error(ErrorCode::kInvalidArgument, "1 tokens after 64 do not fit",
                     [&] { session_.forward(std::span(&one_more, 1)); });
}

TEST_F(SessionErrors, ThreadsAndKernels) {
  test::expect_error(ErrorCode::kInvalidArgument, "-1", [&] { Session session(model_, {-1, ""}); });
  test::expect_error(ErrorCode::kInvalidArgument, "sse9", [&] { Session session(model_, {1, "sse9"}); });
}

TEST_F(SessionErrors, CancelLeavesTheCacheAsItWas) {
  const BatchItem first = {ids_, &cache_};
  session_.forward(std::span(&first, 1));
  std::stop_source source;
  int64_t n_layers_done = 0;
  ForwardOptions options;
  options.cancel = source.get_token();
  options.on_progress = [&](int64_t n_done, int64_t n_layer) {
    EXPECT_EQ(n_layer, 3);
    n_layers_done = n_done;
    source.request_stop();
  };
  test::expect_error(ErrorCode::kCanceled, "canceled",
                     [&] { session_.forward(std::span(&first, 1), options); });
  EXPECT_EQ(n_layers_done, 1) << "canceled after the first block";
  for (const KVCache& layer : Access::layers(cache_)) EXPECT_EQ(layer.offset(), 3);
  EXPECT_TRUE(std::ranges::equal(cache_.tokens(), ids_));
}

TEST(Observer, AttentionWeightsAddUpToOneAndAreCausal) {
  const Model model = test::load_model(test::source_path("tests/golden/mlx/toy"));
  struct Weights : Observer {
    bool wants_attention_weights() const override { return true; }
    void attention_weights(int64_t layer_idx, int64_t row_idx, std::span<const float> weights) override {
      ASSERT_EQ(weights.size(), 4u * static_cast<std::size_t>(row_idx + 1)) << "layer " << layer_idx;
      for (int64_t head_idx = 0; head_idx < 4; ++head_idx) {
        double sum = 0;
        for (int64_t key_idx = 0; key_idx <= row_idx; ++key_idx)
          sum += weights[static_cast<std::size_t>(head_idx * (row_idx + 1) + key_idx)];
        EXPECT_NEAR(sum, 1, 1e-5);
      }
      ++n_calls;
    }
    int64_t n_calls = 0;
  } weights;
  Session session(model);
  const std::vector<int32_t> ids = random_ids(20, 512, 6);
  const std::vector<float> watched = test::all_logits(session, ids, &weights);
  EXPECT_EQ(weights.n_calls, 3 * 20);
  EXPECT_EQ(watched, test::all_logits(session, ids)) << "watching changes nothing";
}

TEST(Linear, AdapterAddsItsPart) {
  struct AddSum : LinearAdapter {
    void add_to(ops::Device&, ops::Rows out, ops::Rows x) const override {
      for (int64_t row_idx = 0; row_idx < out.n_rows; ++row_idx)
        out.row(row_idx)[0] += x.row(row_idx)[0] + x.row(row_idx)[1];
    }
  };
  const float weight[] = {1, 2, 3, 4};
  float x[] = {10, 20};
  float out[] = {0, 0};
  const kernels::WeightMatrix matrix = {kernels::WeightKind::kF32, weight, 2, 2};
  Linear linear = {{{matrix, 0}}, std::make_shared<AddSum>()};
  ThreadPool pool(1);
  ops::Device device{kernels::select_kernel_table(""), pool, {}};
  linear.forward(device, {out, 1, 2, 2}, {x, 1, 2, 2});
  EXPECT_EQ(out[0], 1 * 10 + 2 * 20 + 30);
  EXPECT_EQ(out[1], 3 * 10 + 4 * 20);
}

}  // namespace
}  // namespace lille
