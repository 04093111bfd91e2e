#include "io/torch_state.h"

#include <gtest/gtest.h>

#include "io/torch_archive.h"
#include "support.h"

namespace lille {
namespace {

using namespace std::string_literals;
using test::torch_dict;
using test::torch_float;
using test::torch_int;
using test::torch_str;
using test::torch_tensor;
using test::TorchWindow;

const TorchWindow kWindow = {.n_storage = 6, .shape = {2, 3}, .strides = {3, 1}};

TorchState read(const std::string& opcodes) { return read_torch_state("\x80\x02" + opcodes + ".", "a.pt"); }

/// A state dict with one entry, "x".
std::string with_entry(const std::string& opcodes) {
  return torch_dict(torch_str("model_state_dict") + torch_dict(torch_str("x") + opcodes, true));
}

void expect_bad_state(const std::string& opcodes, std::string_view message,
                      ErrorCode code = ErrorCode::kCorruptFile) {
  test::expect_error(code, message, [&] { read(opcodes); });
  test::expect_error(code, "a.pt: ", [&] { read(opcodes); });
}

void expect_window_refused(const TorchWindow& window, std::string_view message,
                           ErrorCode code = ErrorCode::kCorruptFile) {
  expect_bad_state(with_entry(torch_tensor(window)), message, code);
}

TEST(TorchState, ReadsATensor) {
  const TorchState state = read(with_entry(torch_tensor(kWindow)));
  ASSERT_EQ(state.tensors.size(), 1u);
  const TorchTensor& tensor = state.tensors[0];
  EXPECT_EQ(tensor.name, "x");
  EXPECT_EQ(tensor.dtype, DType::kF32);
  EXPECT_EQ(tensor.storage, "0");
  EXPECT_EQ(tensor.n_storage, 6);
  EXPECT_EQ(tensor.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(tensor.strides, (std::vector<int64_t>{3, 1}));
  EXPECT_TRUE(tensor.is_contiguous());
  EXPECT_FALSE(state.model_args);
}

TEST(TorchState, ReadsParametersScalarsAndEmptyTensors) {
  const std::string parameter = "ctorch._utils\n_rebuild_parameter\n(" + torch_tensor(kWindow) + "\x88" +
                                "ccollections\nOrderedDict\n)RtR";
  EXPECT_EQ(read(with_entry(parameter)).tensors[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_TRUE(read(with_entry(torch_tensor({.n_storage = 1}))).tensors[0].shape.empty());
  const TorchWindow empty = {.n_storage = 0, .shape = {0, 1LL << 40, 1LL << 40}, .strides = {1, 1, 1}};
  EXPECT_EQ(read(with_entry(torch_tensor(empty))).tensors[0].n_elements(), 0);
}

TEST(TorchState, ABareStateDictHasNoModelArgs) {
  const TorchState state = read(torch_dict(torch_str("x") + torch_tensor(kWindow), true));
  EXPECT_EQ(state.tensors.size(), 1u);
  EXPECT_FALSE(state.model_args);
}

TEST(TorchState, ContiguousMeansRowMajor) {
  const auto is_contiguous = [](std::vector<int64_t> shape, std::vector<int64_t> strides) {
    return TorchTensor{.shape = std::move(shape), .strides = std::move(strides)}.is_contiguous();
  };
  EXPECT_TRUE(is_contiguous({}, {}));
  EXPECT_TRUE(is_contiguous({4}, {1}));
  EXPECT_FALSE(is_contiguous({4}, {2}));
  EXPECT_FALSE(is_contiguous({2, 3}, {1, 2}));
  EXPECT_TRUE(is_contiguous({2, 1, 3}, {3, 99, 1}));
  EXPECT_TRUE(is_contiguous({0, 3}, {7, 7}));
}

TEST(TorchState, ModelArgsBecomeAConfig) {
  const std::string args = torch_str("n_layers") + torch_int(3) + torch_str("n_heads") + torch_int(4) +
                           torch_str("n_kv_heads") + "N" + torch_str("rope_theta") + torch_float(500.0) +
                           torch_str("layer_norm_eps") + torch_float(1e-5) + torch_str("n_embd") +
                           torch_int(64) + torch_str("vocab_size") + torch_int(256) +
                           torch_str("block_size") + torch_int(32) + torch_str("bias") + "\x89" +
                           torch_str("nested") + torch_dict(torch_str("a") + torch_int(1));
  const std::string root = torch_str("model_state_dict") +
                           torch_dict(torch_str("x") + torch_tensor(kWindow)) + torch_str("model_args") +
                           torch_dict(args);
  const TorchState state = read(torch_dict(root));
  ASSERT_TRUE(state.model_args);
  EXPECT_EQ(*state.model_args,
            R"({"bias":false,"block_size":32,"layer_norm_eps":1e-05,"model_type":"lille-130m","n_embd":64,)"
            R"("n_heads":4,"n_kv_heads":4,"n_layers":3,"nested":null,"rope_theta":500.0,"vocab_size":256})");
  expect_bad_state(torch_dict(torch_str("model_state_dict") + "}" + torch_str("model_args") + torch_int(3)),
                   "model_args: expected a dict, got an int");
}

TEST(TorchState, TheRestOfACheckpointIsDataOnly) {
  const std::string optimizer =
      torch_dict(torch_str("lr") + torch_float(1e-4) + torch_str("foreach") + "N" + torch_str("params") +
                 "](" + torch_int(0) + torch_int(1) + "e" + torch_str("one") + "]" + torch_int(2) + "a" +
                 torch_str("betas") + torch_float(0.9) + torch_float(0.95) + "\x86q\x07" +
                 torch_str("again") + "h\x07" + torch_str("exp_avg") +
                 torch_tensor({.storage = "not there", .n_storage = 5, .shape = {4}, .strides = {1}}));
  const std::string root = torch_str("optimizer_state_dict") + optimizer + torch_str("model_state_dict") +
                           torch_dict(torch_str("x") + torch_tensor(kWindow), true) + "}" +
                           torch_str("_metadata") + "}sb";
  EXPECT_EQ(read(torch_dict(root)).tensors.size(), 1u);
}

TEST(TorchState, OnlyTheNamesOfWeightsAreImported) {
  const auto refused = [](const std::string& opcodes, std::string_view message) {
    expect_bad_state(opcodes, message, ErrorCode::kUnsupported);
  };
  refused("cos\nsystem\n" + torch_str("true") + "\x85R",
          "GLOBAL: expected a name that weights need, got os.system");
  refused("cposix\nsystem\n" + torch_str("true") + "\x85R", "got posix.system");
  refused(torch_str("builtins") + torch_str("eval") + "\x93",
          "STACK_GLOBAL: expected a name that weights need");
  refused("ctorch\nload\n", "got torch.load");
  refused("ctorch._utils\n_rebuild_tensor_v3\n", "got torch._utils._rebuild_tensor_v3");
  refused("ctorch\nFloatStorage.__init__\n", "got torch.FloatStorage.__init__");
  refused("ccollections\nOrderedDict.update\n", "got collections.OrderedDict.update");
  refused("c\n\n", "got .");
  expect_bad_state("cos\nsystem", "GLOBAL: expected a line that ends");
}

TEST(TorchState, OnlyTheirCallsAreKept) {
  const auto refused = [](const std::string& opcodes, std::string_view message) {
    expect_bad_state(opcodes, message, ErrorCode::kUnsupported);
  };
  refused("ccollections\nOrderedDict\n" + torch_int(1) + "\x85R",
          "REDUCE: expected collections.OrderedDict without arguments, got 1");
  refused("ctorch\nFloatStorage\n)R", "REDUCE: expected torch.FloatStorage as a name only, got a call");
  refused(torch_int(1) + ")R", "REDUCE: expected a call of a name that weights need, got one of an int");
  refused(torch_tensor(kWindow) + ")R", "got one of an object");
  expect_bad_state("ccollections\nOrderedDict\n]R", "REDUCE: expected a tuple of arguments, got a list");
  refused("}}b", "BUILD: expected an OrderedDict to set attributes on, got a dict");
  refused("]}b", "BUILD: expected an OrderedDict to set attributes on, got a list");
  refused("}b", "BUILD: expected an OrderedDict to set attributes on, got nothing");
  refused(torch_tensor(kWindow) + "}b", "BUILD: expected an OrderedDict to set attributes on, got an object");
  const std::pair<std::string, std::string> others[] = {
      {"(ios\nsystem\n", "INST"}, {"(K\1o", "OBJ"},      {"K\1K\1\x81", "NEWOBJ"},
      {"\x92", "NEWOBJ_EX"},      {"Px\n", "PERSID"},    {"\x82\1", "EXT1"},
      {"\x97", "NEXT_BUFFER"},    {"\x8f", "EMPTY_SET"}, {"2", "DUP"}};
  for (const auto& [opcodes, name] : others)
    refused(opcodes, "expected plain data (numbers, texts, containers, tensors), got the opcode "s + name);
}

TEST(TorchState, NothingStandsInItself) {
  const auto refused = [](const std::string& opcodes) {
    expect_bad_state(opcodes, "to be filled before it is put into another value or itself",
                     ErrorCode::kUnsupported);
  };
  refused("]q\1h\1a");
  refused("}q\1" + torch_int(1) + "h\1s");
  refused("]q\1(h\1ta");
  refused("]q\1]h\1ah\1" + torch_int(1) + "a");
}

TEST(TorchState, SizeAndDepthAreBounded) {
  std::string deep;
  for (int level = 0; level < 17; ++level) deep += "]";
  expect_bad_state(deep + std::string(16, 'a'),
                   "expected at most 16 levels of values in each other, got more");
  expect_bad_state(")" + std::string(17, '\x85'), "TUPLE1: expected at most 16 levels");
  expect_bad_state(std::string(2'000'000, ')'), "expected at most 1048576 values, got more");
  expect_bad_state("N" + "r"s + test::le(0xffffffff, 4), "LONG_BINPUT: expected a memo index below 1048576");
  for (const char* opcode : {"p", "g"})
    expect_bad_state("N"s + opcode + "4294967296\n", *opcode == 'p' ? "the opcode PUT" : "the opcode GET",
                     ErrorCode::kUnsupported);
  expect_bad_state("]q\1" + std::string(4, '\0') + "j" + test::le(0xffffffff, 4), "got the opcode unknown",
                   ErrorCode::kUnsupported);
  std::string many = "]q\1(";
  for (int idx = 0; idx < 1'100'000; ++idx) many += "h\1";
  expect_bad_state(many + "e", "expected at most 1048576 values, got more");
}

TEST(TorchState, StackMisuse) {
  expect_bad_state("a", "APPEND: expected a list and a value");
  expect_bad_state("}" + torch_int(1) + "a", "APPEND: expected a list and a value");
  expect_bad_state("e", "APPENDS: expected a mark");
  expect_bad_state("}(e", "APPENDS: expected a list below the mark");
  expect_bad_state("(e", "APPENDS: expected a list below the mark");
  expect_bad_state("t", "TUPLE: expected a mark");
  expect_bad_state("N\x86", "TUPLE2: expected 2 values on the stack, got 1");
  expect_bad_state("N(\x85", "TUPLE1: expected 1 values on the stack, got 0");
  expect_bad_state("R", "REDUCE: expected a value on the stack, got none");
  expect_bad_state("Q", "BINPERSID: expected a value on the stack, got none");
  expect_bad_state("\x93", "STACK_GLOBAL: expected a value on the stack, got none");
  expect_bad_state("NN\x93", "STACK_GLOBAL: expected two strs on the stack, got None and None");
  expect_bad_state("}NNs", "expected a str, bytes or an int as a key, got None");
  expect_bad_state("Gabc", "BINFLOAT: expected 8 more bytes, got 4. Hint: the file is cut off");
}

TEST(TorchState, WindowsOutsideTheirStorage) {
  const std::string_view message = "\"x\": expected a tensor inside its storage";
  expect_window_refused({.n_storage = 5, .shape = {2, 3}, .strides = {3, 1}}, message);
  expect_window_refused({.n_storage = 6, .offset = 1, .shape = {2, 3}, .strides = {3, 1}}, message);
  expect_window_refused({.n_storage = 6, .shape = {2, 3}, .strides = {4, 1}}, message);
  expect_window_refused({.n_storage = 6, .offset = INT64_MAX, .shape = {2}, .strides = {1}}, message);
  expect_window_refused({.n_storage = 6, .shape = {2}, .strides = {INT64_MAX}}, message);
  expect_window_refused({.n_storage = 6, .shape = {3}, .strides = {INT64_MAX}}, message);
  expect_window_refused({.n_storage = 6, .shape = {1LL << 32, 1LL << 32}, .strides = {0, 0}}, message);
  expect_window_refused({.n_storage = 6, .shape = {1LL << 62, 2}, .strides = {4, 1}}, message);
  expect_window_refused({.n_storage = 0}, message);
  expect_window_refused({.n_storage = 3, .offset = 4, .shape = {0}, .strides = {1}}, message);
  expect_window_refused({.n_storage = 6, .offset = -1, .shape = {2}, .strides = {1}},
                        "expected an offset of whole numbers from 0, got -1");
  expect_window_refused({.n_storage = 6, .shape = {2}, .strides = {-1}},
                        "expected strides of whole numbers from 0, got -1");
  expect_window_refused({.n_storage = 6, .shape = {-2}, .strides = {1}},
                        "expected a shape of whole numbers from 0, got -2");
  expect_window_refused({.n_storage = -6, .shape = {2}, .strides = {1}},
                        "expected a number of elements of whole numbers from 0, got -6");
  expect_window_refused({.n_storage = 6, .shape = {2, 3}, .strides = {1}}, "as many strides as dimensions");
  expect_window_refused({.n_storage = 6, .shape = std::vector<int64_t>(9, 1), .strides = {1}},
                        "a shape of at most 8 dimensions, got one of 9");
  expect_window_refused({.n_storage = 1, .shape = {1000, 1000}, .strides = {0, 0}}, "an expanded tensor",
                        ErrorCode::kUnsupported);
}

TEST(TorchState, EntriesThatAreNoTensor) {
  expect_bad_state(with_entry(torch_int(3)), "\"x\": expected a tensor, got an int", ErrorCode::kUnsupported);
  expect_bad_state(with_entry("]"), "\"x\": expected a tensor, got a list", ErrorCode::kUnsupported);
  const std::string build = "ctorch._utils\n_rebuild_tensor_v2\n";
  expect_bad_state(with_entry(build + ")R"), "got 0 of the four");
  expect_bad_state(with_entry(build + "(NNNNtR"), "expected a storage, got None");
  expect_bad_state(with_entry(build + "(NQNNNtR"), "expected ('storage', class, key, location");
  expect_bad_state(with_entry("ctorch._utils\n_rebuild_parameter\n)R"),
                   "expected a parameter of a tensor, got none");
  const std::string storage = "(" + torch_str("storage") + "ccollections\nOrderedDict\n" + torch_str("0") +
                              torch_str("cpu") + torch_int(6) + "tQ";
  expect_bad_state(with_entry(build + "(" + storage + "NNNtR"),
                   "expected a class of storages of torch, got OrderedDict");
  expect_bad_state(
      torch_dict(torch_str("model_state_dict") + torch_dict(torch_int(1) + torch_tensor(kWindow))),
      "model_state_dict: expected names as keys, got an int");
}

TEST(TorchState, FilesWithoutAStateDict) {
  expect_bad_state("N", "expected a dict with model_state_dict, got None", ErrorCode::kUnsupported);
  expect_bad_state(torch_tensor(kWindow), "expected a dict with model_state_dict, got an object",
                   ErrorCode::kUnsupported);
  expect_bad_state("}", "got one with the keys none", ErrorCode::kUnsupported);
  expect_bad_state(torch_dict(torch_str("epoch") + torch_int(1) + torch_str("net") + "}"),
                   "got one with the keys \"epoch\", \"net\". Hint: save model.state_dict() under that key",
                   ErrorCode::kUnsupported);
  expect_bad_state(torch_dict(torch_str("model_state_dict") + "]"),
                   "model_state_dict: expected a dict, got a list");
}

}  // namespace
}  // namespace lille
