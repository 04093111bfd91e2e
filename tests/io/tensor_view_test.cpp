#include "io/tensor_view.h"

#include <gtest/gtest.h>

namespace lille {
namespace {

TEST(TensorView, CountsItsElements) {
  EXPECT_EQ((TensorView{"a", DType::kF32, {}, {}, ""}.n_elements()), 1);
  EXPECT_EQ((TensorView{"a", DType::kQ8_0, {3, 64}, {}, ""}.n_elements()), 192);
  EXPECT_EQ((TensorView{"a", DType::kF32, {3, 0}, {}, ""}.n_elements()), 0);
}

TEST(TensorView, ShapeText) {
  EXPECT_EQ(shape_text(std::vector<int64_t>{640, 1792}), "(640, 1792)");
  EXPECT_EQ(shape_text({}), "()");
}

}  // namespace
}  // namespace lille
