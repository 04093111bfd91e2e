// What is exported reads back as what it was, and stands in the file as llama.cpp wants it.

#include "gguf_files.h"
#include "lille/convert.h"
#include "model/golden.h"

namespace lille {
namespace {

class ExportGguf : public testing::Test {
 protected:
  static std::filesystem::path source() { return test::source_path("models/lille-tiny-8bit"); }
  std::filesystem::path path() const { return folder_.path() / "x.gguf"; }

  static std::vector<float> logits(const Model& model) {
    Session session(model, {.exact = true});
    const std::vector<int32_t> ids = {32767, 7454, 2402, 257, 640, 11, 612, 373, 257, 1310};
    return test::all_logits(session, ids);
  }

  Model export_and_load(const Model& model, GgufExportOptions options) const {
    options.overwrite = true;
    export_gguf(model, Tokenizer::load(model.path()), path(), options);
    return Model::load(path());
  }

  test::TemporaryFolder folder_;
};

TEST_F(ExportGguf, EveryLayoutReadsBackWithTheSameBits) {
  for (const RopeLayout layout : {RopeLayout::kInterleaved, RopeLayout::kHalf, RopeLayout::kOriginal}) {
    std::size_t n_warnings = 0;
    GgufExportOptions options;
    options.type = "F32";
    options.on_warning = [&](std::string_view text) {
      ++n_warnings;
      EXPECT_NE(text.find("original"), text.npos);
    };
    const Model model = test::load_model(source(), layout);
    const Model read = export_and_load(model, options);
    EXPECT_EQ(n_warnings, layout == RopeLayout::kOriginal ? 1u : 0u);
    EXPECT_EQ(read.rope().layout, layout);
    EXPECT_EQ(read.rope().source, RopeSource::kConfig);
    EXPECT_EQ(logits(read), logits(model)) << rope_layout_name(layout);
    EXPECT_EQ(GgufFile(path()).boolean("lille.qk_permuted"), layout != RopeLayout::kInterleaved);
  }
}

TEST_F(ExportGguf, TheSameBytesAsTheTestsOwnWriterForRowsAndTokens) {
  LILLE_NEED_SHARED();
  const std::filesystem::path tiny = test::shared_path("checkpoints/lille-tiny");
  for (const RopeLayout layout : {RopeLayout::kInterleaved, RopeLayout::kHalf}) {
    const Model model = test::load_model(tiny, layout);
    std::filesystem::remove(path());
    export_gguf(model, Tokenizer::load(tiny), path(), {});
    const std::filesystem::path other = folder_.path() / "other.gguf";
    test::GgufOfFolder(tiny, layout == RopeLayout::kHalf).with_tokenizer(tiny).save(other);
    const GgufFile ours(path());
    const GgufFile theirs(other);
    ASSERT_EQ(ours.tensors().size(), theirs.tensors().size());
    for (const TensorView& tensor : theirs.tensors()) {
      const TensorView* found = ours.find(tensor.name);
      ASSERT_NE(found, nullptr) << tensor.name;
      EXPECT_EQ(found->shape, tensor.shape) << tensor.name;
      if (tensor.shape.size() == 1) continue;
      EXPECT_EQ(found->dtype, tensor.dtype) << tensor.name;
      EXPECT_TRUE(std::ranges::equal(found->bytes, tensor.bytes)) << tensor.name;
    }
    for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.merges"})
      EXPECT_EQ(ours.array(key, GgufType::kString)->strings, theirs.array(key, GgufType::kString)->strings)
          << key;
    const GgufArray& types = *ours.array("tokenizer.ggml.token_type", GgufType::kI32);
    EXPECT_TRUE(std::ranges::equal(types.numbers,
                                   theirs.array("tokenizer.ggml.token_type", GgufType::kI32)->numbers));
    EXPECT_EQ(ours.whole("tokenizer.ggml.eos_token_id"), 32764u);
    EXPECT_EQ(ours.whole("tokenizer.ggml.bos_token_id"), 32767u);
    EXPECT_EQ(ours.whole("llama.rope.dimension_count"), 64u);
    EXPECT_EQ(ours.whole("general.file_type"), 32u);
  }
}

TEST_F(ExportGguf, MixturesStateTheirTypes) {
  const Model model = Model::load(source());
  GgufExportOptions options;
  options.type = "Q4_K_M";
  const Model read = export_and_load(model, options);
  EXPECT_EQ(read.form(), "GGUF version 3, Q4_K_M");
  // n_embd is 256 and hidden_dim 768: K-quants fit everywhere; the embedding is nearly half of the weights.
  ASSERT_EQ(read.storage().size(), 3u);
  EXPECT_EQ(read.storage()[0].dtype, "Q6_K");
  EXPECT_EQ(read.storage()[1].dtype, "Q4_K");
  EXPECT_EQ(read.storage()[2].dtype, "F32");
  // A file in blocks keeps them when it is written again as it is.
  const std::filesystem::path again = folder_.path() / "again.gguf";
  export_gguf(read, Tokenizer::load(path()), again, {});
  const GgufFile first(path());
  const GgufFile second(again);
  for (const TensorView& tensor : first.tensors())
    EXPECT_TRUE(std::ranges::equal(second.find(tensor.name)->bytes, tensor.bytes)) << tensor.name;
}

TEST_F(ExportGguf, IsDeterministic) {
  const Model model = Model::load(source());
  GgufExportOptions options;
  options.type = "Q8_0";
  options.overwrite = true;
  std::string bytes;
  for (const int64_t n_threads : {1, 2, 5}) {
    options.n_threads = n_threads;
    export_gguf(model, Tokenizer::load(source()), path(), options);
    const std::string written = test::read_file(path());
    EXPECT_TRUE(bytes.empty() || written == bytes);
    bytes = written;
  }
}

TEST_F(ExportGguf, NothingIsReplacedUnasked) {
  const Model model = Model::load(source());
  const Tokenizer tokenizer = Tokenizer::load(source());
  GgufExportOptions options;
  options.type = "Q8_0";
  const std::filesystem::path there = folder_.write("there.gguf", "mine");
  test::expect_error(ErrorCode::kInvalidArgument, "expected no such file yet, got one",
                     [&] { export_gguf(model, tokenizer, there, options); });
  EXPECT_EQ(test::read_file(there), "mine");
  options.overwrite = true;
  export_gguf(model, tokenizer, there, options);
  const std::string written = test::read_file(there);
  // The model's own file, under another name too.
  const std::filesystem::path link = folder_.path() / "link.gguf";
  std::filesystem::create_symlink(there, link);
  const Model read = Model::load(there);
  for (const std::filesystem::path& own : {there, link})
    test::expect_error(ErrorCode::kInvalidArgument, "expected another file than those of the model",
                       [&] { export_gguf(read, tokenizer, own, options); });
  EXPECT_EQ(test::read_file(there), written);
}

TEST_F(ExportGguf, RefusesWhatCannotBe) {
  const Model model = Model::load(source());
  const Tokenizer tokenizer = Tokenizer::load(source());
  test::expect_error(ErrorCode::kInvalidArgument, "quantised in MLX's form, which GGUF does not have",
                     [&] { export_gguf(model, tokenizer, path(), {}); });
  GgufExportOptions options;
  options.type = "Q2_K";
  test::expect_error(ErrorCode::kInvalidArgument, "type: expected one of F32",
                     [&] { export_gguf(model, tokenizer, path(), options); });
  options.type = "F16";
  test::expect_error(
      ErrorCode::kInvalidArgument, "tokenizer: expected the model's 512 tokens, got 32768", [&] {
        export_gguf(Model::load(test::source_path("tests/golden/mlx/toy")), tokenizer, path(), options);
      });
  EXPECT_FALSE(std::filesystem::exists(path()));
}

}  // namespace
}  // namespace lille
