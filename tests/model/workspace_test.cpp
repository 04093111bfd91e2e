#include "model/workspace.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace lille {
namespace {

TEST(Workspace, StagesHaveTheirShapesAndDoNotOverlap) {
  ModelArgs args;
  args.n_embd = 48 * 5;
  args.n_head = 10;
  args.n_kv_heads = 5;
  args.n_layer = 1;
  args.vocab_size = 331;
  Workspace workspace;
  for (const int64_t n_rows : {3, 1, 7}) {
    workspace.resize(args, n_rows, 2);
    const ops::Rows stages[] = {workspace.x,           workspace.attn_normed, workspace.qkv,
                                workspace.attn_heads,  workspace.attn_out,    workspace.ffn_normed,
                                workspace.gate,        workspace.up,          workspace.ffn_out,
                                workspace.final_normed};
    for (const ops::Rows& stage : stages) {
      EXPECT_EQ(stage.n_rows, n_rows);
      EXPECT_GE(stage.stride, stage.n_cols);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(stage.data) % 64, 0u);
    }
    for (std::size_t idx = 1; idx < std::size(stages); ++idx)
      EXPECT_GE(stages[idx].data,
                stages[idx - 1].data + (n_rows - 1) * stages[idx - 1].stride + stages[idx - 1].n_cols);
    EXPECT_EQ(workspace.qkv.n_cols, 240 + 2 * 120);
    EXPECT_EQ(workspace.gate.n_cols, 512);
    EXPECT_EQ(workspace.logits.n_rows, 2);
    EXPECT_EQ(workspace.logits.n_cols, 331);
  }
}

}  // namespace
}  // namespace lille
