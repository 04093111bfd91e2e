// GGUF files as models: the same answers as the folder they came from, and what is said when one is wrong.

#include "model/gguf_source.h"

#include "gguf_files.h"
#include "lille/tokenizer.h"
#include "model/golden.h"

namespace lille {
namespace {

using test::GgufOfFolder;

TEST(GgufNames, AreTheModels) {
  const std::pair<const char*, const char*> cases[] = {
      {"token_embd.weight", "transformer.tok_embeddings.weight"},
      {"output_norm.weight", "transformer.norm.weight"},
      {"output.weight", "transformer.lm_head.weight"},
      {"blk.0.attn_q.weight", "transformer.layers.0.attention.q_proj.weight"},
      {"blk.23.ffn_down.weight", "transformer.layers.23.feed_forward.down_proj.weight"},
      {"blk.1.attn_output.weight", "transformer.layers.1.attention.out_proj.weight"},
      {"blk.2.attn_rot_embd.weight", "transformer.layers.2.rotary_emb"},
      {"blk.2.attn_q.bias", "blk.2.attn_q.bias"},
      {"blk.attn_q.weight", "blk.attn_q.weight"},
      {"blk..weight", "blk..weight"},
      {"blk.1.weight", "blk.1.weight"},
      {"", ""}};
  for (const auto& [gguf, model] : cases) EXPECT_EQ(model_name_of_gguf(gguf), model);
}

class GgufModel : public testing::Test {
 protected:
  static std::filesystem::path toy() { return test::source_path("tests/golden/torch/toy"); }
  std::filesystem::path path() const { return folder_.path() / "model.gguf"; }

  static std::vector<float> logits(const std::filesystem::path& path, std::optional<RopeLayout> layout) {
    Session session(test::load_model(path, layout));
    std::vector<int32_t> ids;
    for (int32_t idx = 0; idx < 30; ++idx) ids.push_back(idx * 37 % 99);
    return test::all_logits(session, ids);
  }

  void expect_fault(const GgufOfFolder& file, std::string_view message,
                    ErrorCode code = ErrorCode::kCorruptFile) const {
    file.save(path());
    test::expect_error(code, message, [&] { Model::load(path()); });
    test::expect_error(code, "model.gguf", [&] { Model::load(path()); });
  }

  test::TemporaryFolder folder_;
};

TEST_F(GgufModel, GivesTheBitsOfTheFolderInEveryLayout) {
  for (const char* name : {"torch/toy", "torch/mha", "torch/mqa", "torch/odd"}) {
    if (!std::filesystem::exists(test::golden_path(name))) continue;
    for (const RopeLayout layout : {RopeLayout::kInterleaved, RopeLayout::kHalf, RopeLayout::kOriginal}) {
      GgufOfFolder(test::golden_path(name), true).save(path());
      EXPECT_EQ(logits(path(), layout), logits(test::golden_path(name), layout))
          << name << " " << rope_layout_name(layout);
      GgufOfFolder(test::golden_path(name), false).set("lille.qk_permuted", false).save(path());
      EXPECT_EQ(logits(path(), layout), logits(test::golden_path(name), layout))
          << name << " " << rope_layout_name(layout) << ", rows as they were";
    }
  }
}

// Undoing a permutation that never was puts neighbours half a head apart, so half of those rows is
// interleaved of the true ones: the same scores, their sums taken in another order.
TEST_F(GgufModel, RowsThatWereNeverPermutedAreHalf) {
  GgufOfFolder(toy(), false).save(path());
  test::expect_near(logits(path(), RopeLayout::kHalf), logits(toy(), RopeLayout::kInterleaved), 1e-4,
                    "half of rows taken apart");
}

TEST_F(GgufModel, TrainedRowsThatWereNeverPermutedMeasureAsHalf) {
  LILLE_NEED_SHARED();
  const std::filesystem::path tiny = test::shared_path("checkpoints/lille-tiny");
  GgufOfFolder(tiny, false).with_tokenizer(tiny).save(path());
  const Model model = Model::load(path());
  const Model folder = Model::load(tiny);
  EXPECT_EQ(model.rope().source, RopeSource::kMeasured);
  EXPECT_EQ(rope_layout_name(model.rope().layout), rope_layout_name(RopeLayout::kHalf));
  EXPECT_EQ(rope_layout_name(folder.rope().layout), rope_layout_name(RopeLayout::kInterleaved));
  const double of_folder = folder.rope().perplexities[0].perplexity;
  EXPECT_NEAR(model.rope().perplexities[1].perplexity, of_folder, 1e-3 * of_folder) << "the same model";
  Session session(model, {.exact = true});
  Session folder_session(folder, {.exact = true});
  const Tokenizer tokenizer = Tokenizer::load(path());
  const std::vector<int32_t> ids =
      tokenizer.encode("The river begins in the hills to the north, where the rain falls.");
  test::expect_near(test::all_logits(session, ids), test::all_logits(folder_session, ids), 2e-3, "logits");
}

TEST_F(GgufModel, PermutedRowsMeasureAsTheyWereTrained) {
  LILLE_NEED_SHARED();
  const std::pair<const char*, RopeLayout> cases[] = {{"lille-tiny", RopeLayout::kInterleaved},
                                                      {"lille-tiny-original", RopeLayout::kOriginal}};
  for (const auto& [name, layout] : cases) {
    const std::filesystem::path folder = test::shared_path("checkpoints") / name;
    GgufOfFolder(folder, true).with_tokenizer(folder).save(path());
    const Model model = Model::load(path());
    EXPECT_EQ(model.rope().source, RopeSource::kMeasured) << name;
    EXPECT_EQ(rope_layout_name(model.rope().layout), rope_layout_name(layout)) << name;
  }
}

TEST_F(GgufModel, OurKeyNamesTheLayout) {
  GgufOfFolder(toy()).set("lille.rope_layout", std::string_view("original")).save(path());
  EXPECT_EQ(Model::load(path()).rope().layout, RopeLayout::kOriginal);
  EXPECT_EQ(Model::load(path()).rope().source, RopeSource::kConfig);
  expect_fault(GgufOfFolder(toy()).set("lille.rope_layout", std::string_view("spiral")),
               "lille.rope_layout: expected \"interleaved\", \"half\" or \"original\", got \"spiral\"");
}

TEST_F(GgufModel, ArgumentsAreTheFolders) {
  for (const char* optional : {"", "llama.vocab_size"}) {
    GgufOfFolder file(toy());
    file.drop(optional);
    std::vector<std::string_view> tokens(256, "x");
    if (*optional != '\0') file.set("tokenizer.ggml.tokens", GgufArray{GgufType::kString, {}, tokens, {}});
    file.save(path());
    ModelArgs expected = ModelArgs::load(toy() / "config.json");
    EXPECT_EQ(test::load_model(path(), RopeLayout::kHalf).args(), expected) << optional;
  }
}

TEST_F(GgufModel, EveryNeededKeyIsNamedWhenItIsMissing) {
  for (const char* key : {"general.architecture", "llama.context_length", "llama.embedding_length",
                          "llama.block_count", "llama.feed_forward_length", "llama.attention.head_count",
                          "llama.attention.layer_norm_rms_epsilon", "llama.vocab_size"})
    expect_fault(GgufOfFolder(toy()).drop(key), key);
  expect_fault(GgufOfFolder(toy()).drop("llama.block_count").drop("llama.context_length"),
               "got none for llama.context_length, llama.block_count");
}

TEST_F(GgufModel, KeysWithADefaultMayBeMissing) {
  GgufOfFolder file(toy());
  file.drop("llama.rope.freq_base").drop("llama.rope.dimension_count").save(path());
  EXPECT_EQ(Model::load(path()).args().rope_theta, 10000);
  expect_fault(file.drop("llama.attention.head_count_kv"),
               "transformer.layers.{0,1,2}.attention.k_proj.weight: expected (64, 64), got (32, 64)");
}

TEST_F(GgufModel, ATokenizerShorterThanTheVocabularyIsRefused) {
  const auto config = nlohmann::json::parse(test::read_file(toy() / "config.json"));
  const std::vector<std::string_view> tokens(50, "token");
  GgufOfFolder file(toy());
  file.set("tokenizer.ggml.tokens", GgufArray{GgufType::kString, {}, tokens, {}}).drop("llama.vocab_size");
  expect_fault(file, fmt::format("tok_embeddings.weight: expected (50, {0}), got ({1}, {0})",
                                 config["n_embd"].get<int64_t>(), config["vocab_size"].get<int64_t>()));
}

TEST_F(GgufModel, BadValuesNameTheKey) {
  const auto expect = [this](const std::string& key, GgufValue value, std::string_view message) {
    expect_fault(GgufOfFolder(toy()).set(key, std::move(value)), message);
  };
  expect("llama.block_count", std::string_view("3"),
         "llama.block_count: expected a whole number, got a value of type string");
  expect("llama.block_count", int32_t{-3}, "llama.block_count: expected a whole number from 0, got -3");
  expect("llama.block_count", uint32_t{0},
         "llama.block_count: expected a whole number from 1 to 4096, got 0");
  expect("llama.embedding_length", ~uint64_t{0},
         "llama.embedding_length: expected a whole number from 1 to 65536");
  expect("llama.context_length", uint32_t{1u << 20},
         "llama.context_length: expected a whole number from 1 to 65536, got 1048576");
  expect("llama.attention.head_count", uint32_t{3},
         "llama.attention.head_count: expected a divisor of n_embd, 64, got 3");
  expect("llama.attention.head_count_kv", uint32_t{3},
         "llama.attention.head_count_kv: expected a divisor of n_head, 4, got 3");
  expect("llama.attention.layer_norm_rms_epsilon", 0.0F, "layer_norm_rms_epsilon: expected a number above 0");
  expect("llama.attention.layer_norm_rms_epsilon", NAN,
         "layer_norm_rms_epsilon: expected a number from 0 to 1, got nan");
  expect("llama.rope.freq_base", 0.5F, "llama.rope.freq_base: expected a number from 1 to");
  expect("lille.rope_theta", 500.0,
         "lille.rope_theta: expected 10000, as llama.rope.freq_base says, got 500");
  expect("lille.qk_permuted", uint8_t{1}, "lille.qk_permuted: expected a bool");
}

TEST_F(GgufModel, OtherModelsOfTheArchitectureAreToldByTheKey) {
  const std::pair<const char*, GgufValue> cases[] = {{"general.architecture", std::string_view("qwen2")},
                                                     {"llama.feed_forward_length", uint32_t{512}},
                                                     {"llama.rope.dimension_count", uint32_t{8}},
                                                     {"llama.attention.key_length", uint32_t{128}},
                                                     {"llama.attention.value_length", uint32_t{128}},
                                                     {"llama.expert_count", uint32_t{8}},
                                                     {"llama.rope.scaling.type", std::string_view("linear")}};
  for (const auto& [key, value] : cases)
    expect_fault(GgufOfFolder(toy()).set(key, value), key, ErrorCode::kUnsupported);
}

TEST_F(GgufModel, AnOutputProjectionOfItsOwnIsAWarningUnlessItIsTheEmbedding) {
  for (const bool is_equal : {true, false}) {
    GgufOfFolder file(toy());
    GgufTensorToSave head = file.tensors().front();
    head.name = "output.weight";
    const auto bytes = head.bytes;
    if (!is_equal)
      head.bytes = [bytes] {
        std::vector<std::byte> changed = bytes();
        changed[5] ^= std::byte{1};
        return changed;
      };
    file.tensors().push_back(head);
    file.save(path());
    std::vector<std::string> warnings;
    LoadOptions options;
    options.on_warning = [&](std::string_view text) { warnings.emplace_back(text); };
    Model::load(path(), options);
    ASSERT_EQ(warnings.size(), is_equal ? 0u : 1u);
    if (!is_equal) {
      EXPECT_NE(warnings[0].find("output.weight differs from the token embedding"), std::string::npos)
          << warnings[0];
    }
  }
}

TEST_F(GgufModel, RotaryTablesAreLeftOut) {
  for (const float factor : {1.0F, 8.0F}) {
    GgufOfFolder file(toy());
    file.tensors().push_back({"rope_freqs.weight", DType::kF32, {8}, [factor] {
                                const std::vector<float> factors(8, factor);
                                const auto bytes = std::as_bytes(std::span(factors));
                                return std::vector<std::byte>(bytes.begin(), bytes.end());
                              }});
    file.save(path());
    std::size_t n_warnings = 0;
    LoadOptions options;
    options.on_warning = [&](std::string_view text) {
      ++n_warnings;
      EXPECT_NE(text.find("rope_freqs.weight changes the rotary frequencies"), text.npos) << text;
    };
    Model::load(path(), options);
    EXPECT_EQ(n_warnings, factor == 1.0F ? 0u : 1u);
  }
}

TEST_F(GgufModel, MissingAndUnknownTensorsAreNamed) {
  GgufOfFolder missing(toy());
  std::erase_if(missing.tensors(),
                [](const GgufTensorToSave& tensor) { return tensor.name == "blk.1.attn_k.weight"; });
  expect_fault(missing, "transformer.layers.1.attention.k_proj.weight is missing: expected (32, 64)");
  GgufOfFolder unknown(toy());
  unknown.tensors()[3].name = "blk.0.attn_query.weight";
  expect_fault(unknown, "blk.0.attn_query.weight is not a parameter of this model");
  GgufOfFolder twice(toy());
  twice.tensors()[1].name = "transformer.tok_embeddings.weight";
  expect_fault(twice, "are both transformer.tok_embeddings.weight");
}

TEST_F(GgufModel, TellsFormAndStorage) {
  GgufOfFolder(toy()).set("general.file_type", uint32_t{15}).save(path());
  const Model model = Model::load(path());
  EXPECT_EQ(model.form(), "GGUF version 3, Q4_K_M");
  EXPECT_EQ(model.path(), path());
  ASSERT_EQ(model.storage().size(), 1u);
  EXPECT_EQ(model.storage()[0].dtype, "F32");
  EXPECT_EQ(model.storage()[0].n_bytes, 4 * model.storage()[0].n_parameters);
  int64_t n_parameters = 0;
  for (const Model::Part& part : model.parts()) n_parameters += part.n_parameters;
  EXPECT_EQ(model.storage()[0].n_parameters, n_parameters);
}

}  // namespace
}  // namespace lille
