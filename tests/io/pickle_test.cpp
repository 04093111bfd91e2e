#include "io/pickle.h"

#include <gtest/gtest.h>

#include <string>

#include "io/pickle_text.h"
#include "support.h"

namespace lille {
namespace {

using namespace std::string_literals;
using test::pickle_bytes;
using test::pickle_int;
using test::pickle_str;

const std::string kProto = "\x80\x04";

void expect_bad_pickle(const std::string& text, std::string_view message,
                       ErrorCode code = ErrorCode::kCorruptFile) {
  test::expect_error(code, message, [&] { parse_pickle(text, "a.pkl"); });
  test::expect_error(code, "a.pkl: at offset ", [&] { parse_pickle(text, "a.pkl"); });
}

int64_t integer_in(const std::string& opcodes) {
  const std::string text = kProto + opcodes + ".";
  const Pickle pickle = parse_pickle(text, "a.pkl");
  EXPECT_EQ(pickle.root().kind, PickleValue::Kind::kInteger);
  return pickle.root().integer;
}

TEST(Pickle, ReadsIntegers) {
  EXPECT_EQ(integer_in("K\xff"), 255);
  EXPECT_EQ(integer_in("M\x01\x80"), 32769);
  EXPECT_EQ(integer_in("J\xff\xff\xff\xff"), -1);
  EXPECT_EQ(integer_in("J\x00\x00\x00\x80"s), -2147483648LL);
  EXPECT_EQ(integer_in("\x8a\x00"s), 0);
  EXPECT_EQ(integer_in("\x8a\x01\xfe"), -2);
  EXPECT_EQ(integer_in("\x8a\x06\x00\x00\x00\x00\x00\x01"s), 1LL << 40);
  EXPECT_EQ(integer_in("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80"s), INT64_MIN);
}

/// Written by Python 3.11: pickle.dumps({'a': 'xy', 'b': b'xy', 'c': {'a': 1}, 7: 'xy'}, protocol=4) and 3
/// and 5.
TEST(Pickle, ReadsWhatPythonWrites) {
  const std::string texts[] = {
      "\x80\x04\x95\x23\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01"
      "a\x94\x8c\x02xy\x94\x8c\x01"
      "b\x94"
      "C\x02xy\x94\x8c\x01"
      "c\x94}\x94h\x01K\x01sK\x07h\x02u."s,
      "\x80\x03}q\x00(X\x01\x00\x00\x00"
      "aq\x01X\x02\x00\x00\x00xyq\x02X\x01\x00\x00\x00"
      "bq\x03"
      "C\x02xyq\x04X\x01\x00\x00\x00"
      "cq\x05}q\x06h\x01K\x01sK\x07h\x02u."s};
  for (const std::string& text : texts) {
    const Pickle pickle = parse_pickle(text, "a.pkl");
    const PickleValue& dict = pickle.root();
    ASSERT_EQ(dict.kind, PickleValue::Kind::kDict);
    ASSERT_EQ(dict.items.size(), 4u);
    EXPECT_EQ(dict.find("a")->text, "xy");
    EXPECT_EQ(dict.find("b")->kind, PickleValue::Kind::kBytes);
    EXPECT_EQ(dict.find("c")->find("a")->integer, 1);
    EXPECT_EQ(dict.items[3].key->integer, 7);
    EXPECT_EQ(dict.items[3].value->text, "xy");
    EXPECT_EQ(dict.find("z"), nullptr);
  }
}

TEST(Pickle, ReadsEveryLengthOfStrings) {
  const std::string texts[] = {"\x8d\x02\x00\x00\x00\x00\x00\x00\x00xy"s,
                               "X\x02\x00\x00\x00xy"s,
                               "\x8c\x02xy"s,
                               "\x8e\x02\x00\x00\x00\x00\x00\x00\x00xy"s,
                               "B\x02\x00\x00\x00xy"s,
                               "C\x02xy"s,
                               "U\x02xy"s,
                               "T\x02\x00\x00\x00xy"s};
  for (const std::string& text : texts) {
    const std::string file = "\x80\x02" + text + ".";
    EXPECT_EQ(parse_pickle(file, "a.pkl").root().text, "xy") << text;
  }
}

TEST(Pickle, TheLastValueOfAKeyCounts) {
  const std::string text = kProto + "}(" + pickle_str("a") + "K\x01" + pickle_str("a") + "K\x02u.";
  EXPECT_EQ(parse_pickle(text, "a.pkl").root().find("a")->integer, 2);
}

TEST(Pickle, CodeIsRefusedByNameAndOffset) {
  const auto refused = [](const std::string& opcodes, std::string_view message) {
    expect_bad_pickle(opcodes, message, ErrorCode::kUnsupported);
  };
  refused(
      "\x80\x02"
      "cos\nsystem\nX\x04\x00\x00\x00true\x85R."s,
      "at offset 2: expected plain data (dict, str, bytes, int), got the opcode GLOBAL");
  refused(kProto + pickle_str("os") + pickle_str("system") + "\x93.",
          "at offset 14: expected plain data (dict, str, bytes, int), got the opcode STACK_GLOBAL");
  refused(kProto + "K\x01K\x02R.", "got the opcode REDUCE");
  refused(kProto + "}}b.", "at offset 4: expected plain data (dict, str, bytes, int), got the opcode BUILD");
  refused(kProto + "(ios\nsystem\n.", "got the opcode INST");
  refused(kProto + "(K\x01o.", "got the opcode OBJ");
  refused(kProto + "K\x01K\x01\x81.", "got the opcode NEWOBJ");
  refused(kProto + "\x92.", "got the opcode NEWOBJ_EX");
  refused(kProto + "K\x01Q.", "got the opcode BINPERSID");
  refused(kProto + "Px\n.", "got the opcode PERSID");
  refused(kProto + "\x82\x01.", "got the opcode EXT1");
  refused(kProto + "\x97.", "got the opcode NEXT_BUFFER");
}

TEST(Pickle, OtherDataIsRefusedByName) {
  const std::pair<std::string, std::string> cases[] = {
      {"N", "NONE"},         {"\x88", "NEWTRUE"}, {"]", "EMPTY_LIST"}, {")", "EMPTY_TUPLE"},
      {"\x8f", "EMPTY_SET"}, {"G", "BINFLOAT"},   {"I1\n", "INT"},     {"L1L\n", "LONG"},
      {"\x8b", "LONG4"},     {"2", "DUP"},        {"0", "POP"},        {"1", "POP_MARK"},
      {"d", "DICT"},         {"\xff", "unknown"}, {"\x80", "PROTO"}};
  for (const auto& [opcode, name] : cases)
    expect_bad_pickle(kProto + opcode,
                      "at offset 2: expected plain data (dict, str, bytes, int), got the opcode " + name,
                      ErrorCode::kUnsupported);
}

TEST(Pickle, FilesThatAreNoPickle) {
  expect_bad_pickle("", "got an empty file");
  expect_bad_pickle("hello", "it begins with PROTO");
  expect_bad_pickle("PK\x03\x04", "it begins with PROTO");
  expect_bad_pickle("}.", "it begins with PROTO");
  for (const char version : {'\0', '\1', '\6', '\xff'})
    expect_bad_pickle(std::string("\x80") + version + "}.", "PROTO: expected protocol 2 to 5");
}

TEST(Pickle, CutOffAnywhere) {
  const std::string text = kProto + "}\x94(" + pickle_str("name") + "\x94" + pickle_bytes("toy") +
                           pickle_str("ranks") + "}(h\x01" + test::pickle_int(258) + "uu.";
  parse_pickle(text, "a.pkl");
  for (std::size_t n_bytes = 1; n_bytes < text.size(); ++n_bytes)
    expect_bad_pickle(text.substr(0, n_bytes), "Hint: the file is cut off");
}

TEST(Pickle, LengthsThatAreWrong) {
  expect_bad_pickle(kProto + "\x8e\xff\xff\xff\xff\xff\xff\xff\xffxy.",
                    "BINBYTES8: expected 18446744073709551615 more bytes, got 3");
  expect_bad_pickle(kProto + "\x8d\x00\x00\x00\x00\x00\x00\x00\x80xy."s,
                    "BINUNICODE8: expected 9223372036854775808 more bytes");
  expect_bad_pickle(kProto + "B\xff\xff\xff\xff.", "BINBYTES: expected 4294967295 more bytes");
  expect_bad_pickle(kProto + "X\xff\xff\xff\x7f.", "BINUNICODE: expected 2147483647 more bytes");
  expect_bad_pickle(kProto + "\x95\xff\xff\xff\xff\xff\xff\xff\xff}.",
                    "FRAME: expected 18446744073709551615 more bytes, got 2");
  expect_bad_pickle(kProto + "\x8a\x09" + std::string(9, '\1') + ".",
                    "LONG1: expected an integer of at most 8 bytes, got 9");
  expect_bad_pickle(kProto + pickle_str("\xff") + ".", "SHORT_BINUNICODE: expected UTF-8");
}

TEST(Pickle, MemoMisuse) {
  expect_bad_pickle(kProto + "h\x05.",
                    "at offset 2: BINGET: expected a memo index that was set before, got 5");
  expect_bad_pickle(kProto + "K\x01q\x05h\x04.", "BINGET: expected a memo index that was set before, got 4");
  expect_bad_pickle(kProto + "j\xff\xff\xff\xff.",
                    "LONG_BINGET: expected a memo index that was set before, got 4294967295");
  expect_bad_pickle(kProto + "K\x01r\xff\xff\xff\xff.",
                    "LONG_BINPUT: expected a memo index below 1048576, got 4294967295");
  // Only as text can an index be 2^32.
  expect_bad_pickle(kProto + "K\x01p4294967296\n.", "got the opcode PUT", ErrorCode::kUnsupported);
  expect_bad_pickle(kProto + "K\x01g4294967296\n.", "got the opcode GET", ErrorCode::kUnsupported);
  expect_bad_pickle(kProto + "\x94.", "MEMOIZE: expected a value on the stack, got none");
  expect_bad_pickle(kProto + "K\x01(q\x01.", "BINPUT: expected a value on the stack, got none");
  expect_bad_pickle(kProto + "K\x01q\x01q\x01.", "BINPUT: expected a memo index that is free, got 1 again");
  expect_bad_pickle(kProto + "K\x01q\x01\x94.", "MEMOIZE: expected a memo index that is free, got 1 again");
}

TEST(Pickle, ADictInItselfOrInTwoPlacesIsRefused) {
  expect_bad_pickle(kProto + "}\x94K\x01h\x00s."s,
                    "at offset 6: BINGET: expected a dict to stand in one place only",
                    ErrorCode::kUnsupported);
  expect_bad_pickle(kProto + "}(K\x01}\x94K\x02h\x00u."s, "expected a dict to stand in one place only",
                    ErrorCode::kUnsupported);
}

TEST(Pickle, StackMisuse) {
  expect_bad_pickle(kProto + ".", "STOP: expected one value on the stack, got 0 and 0 open marks");
  expect_bad_pickle(kProto + "K\x01K\x02.", "STOP: expected one value on the stack, got 2");
  expect_bad_pickle(kProto + "K\x01(.", "got 1 and 1 open marks");
  expect_bad_pickle(kProto + "K\x01.x",
                    "at offset 4: expected the end of the file after STOP, got 1 more bytes");
  expect_bad_pickle(kProto + "s.", "SETITEM: expected a dict, a key and a value");
  expect_bad_pickle(kProto + "K\x01K\x01K\x01s.", "SETITEM: expected a dict, a key and a value");
  expect_bad_pickle(kProto + "}(K\x01K\x02s.", "SETITEM: expected a dict, a key and a value");
  expect_bad_pickle(kProto + "}u.", "SETITEMS: expected a mark on the stack");
  expect_bad_pickle(kProto + "(K\x01K\x02u.", "SETITEMS: expected a dict below the mark");
  expect_bad_pickle(kProto + "K\x01(K\x01K\x02u.", "SETITEMS: expected a dict below the mark");
  expect_bad_pickle(kProto + "}((K\x01K\x02u.", "SETITEMS: expected a dict below the mark");
  expect_bad_pickle(kProto + "}(K\x01u.", "got an odd number of values");
  expect_bad_pickle(kProto + "}}K\x01s.", "expected a str, bytes or an int as a key, got a dict");
}

TEST(Pickle, SizeAndDepthAreBounded) {
  std::string deep = kProto;
  for (int level = 0; level < 17; ++level) deep += "}K\x01";
  deep += "K\x01" + std::string(17, 's') + ".";
  expect_bad_pickle(deep, "SETITEM: expected at most 16 levels of values in each other, got more");
  std::string million = kProto;
  for (int level = 0; level < 1'000'000; ++level) million += "}K\x01";
  expect_bad_pickle(million + ".", "expected at most 1048576 values, got more");
  expect_bad_pickle(kProto + std::string(2'000'000, '}') + ".", "expected at most 1048576 values, got more");
  expect_bad_pickle(kProto + std::string(2'000'000, '(') + ".",
                    "MARK: expected at most 1048576 open marks, got more");
}

}  // namespace
}  // namespace lille
