// The keys of arguments one by one; tests/model/gguf_source_test.cpp has the faults with whole models.

#include "io/gguf_model_args.h"

#include <gtest/gtest.h>

#include "io/gguf_bytes.h"
#include "support.h"

namespace lille {
namespace {

using test::gguf_key;
using test::gguf_text;
using test::raw;

class GgufModelArgs : public testing::Test {
 protected:
  GgufFile read(std::vector<std::string> more = {}) const {
    test::GgufBytes bytes;
    bytes.keys = {gguf_key("general.architecture", 8, gguf_text("llama")),
                  gguf_key("llama.context_length", 10, raw<uint64_t>(512)),
                  gguf_key("llama.embedding_length", 4, raw<uint32_t>(640)),
                  gguf_key("llama.block_count", 2, raw<uint16_t>(24)),
                  gguf_key("llama.feed_forward_length", 5, raw<int32_t>(1792)),
                  gguf_key("llama.attention.head_count", 0, raw<uint8_t>(10)),
                  gguf_key("llama.attention.head_count_kv", 4, raw<uint32_t>(2)),
                  gguf_key("llama.attention.layer_norm_rms_epsilon", 6, raw<float>(1e-5F)),
                  gguf_key("llama.vocab_size", 4, raw<uint32_t>(32768))};
    bytes.keys.insert(bytes.keys.end(), more.begin(), more.end());
    return GgufFile(folder_.write("x.gguf", bytes.text()));
  }

  test::TemporaryFolder folder_;
};

TEST_F(GgufModelArgs, TakeAnyTypeOfNumber) {
  const ModelArgs args = model_args_from_gguf(read());
  EXPECT_EQ(args.model_type, "lille-130m");
  EXPECT_EQ(args.block_size, 512);
  EXPECT_EQ(args.n_embd, 640);
  EXPECT_EQ(args.n_layer, 24);
  EXPECT_EQ(args.n_head, 10);
  EXPECT_EQ(args.n_kv_heads, 2);
  EXPECT_EQ(args.vocab_size, 32768);
  EXPECT_EQ(args.layer_norm_eps, 1e-5F);
  EXPECT_EQ(args.rope_theta, 10000);
  EXPECT_EQ(args.rope_layout, std::nullopt);
}

TEST_F(GgufModelArgs, ARotaryBaseThatIsNoFloatHasOurKey) {
  const auto base = gguf_key("llama.rope.freq_base", 6, raw<float>(12345.678F));
  EXPECT_EQ(model_args_from_gguf(read({base})).rope_theta, double{12345.678F});
  const auto exact = gguf_key("lille.rope_theta", 12, raw<double>(12345.678));
  EXPECT_EQ(model_args_from_gguf(read({base, exact})).rope_theta, 12345.678);
}

TEST_F(GgufModelArgs, RowsArePermutedUnlessOurKeySaysNo) {
  EXPECT_TRUE(has_permuted_qk(read()));
  EXPECT_TRUE(has_permuted_qk(read({gguf_key("lille.qk_permuted", 7, raw<uint8_t>(1))})));
  EXPECT_FALSE(has_permuted_qk(read({gguf_key("lille.qk_permuted", 7, raw<uint8_t>(0))})));
}

TEST_F(GgufModelArgs, FileTypesHaveLlamaCppsNames) {
  EXPECT_EQ(gguf_file_type_name(read()), "");
  for (const auto& [number, name] : {std::pair(0u, "F32"), std::pair(7u, "Q8_0"), std::pair(15u, "Q4_K_M"),
                                     std::pair(32u, "BF16"), std::pair(99u, "")})
    EXPECT_EQ(gguf_file_type_name(read({gguf_key("general.file_type", 4, raw<uint32_t>(number))})), name);
}

}  // namespace
}  // namespace lille
