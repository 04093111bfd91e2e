#pragma once

#include <cstdint>
#include <string_view>

namespace lille {

/// The opcodes that parse_pickle knows. Source: Python Lib/pickletools.py.
enum class PickleOpcode : uint8_t {
  kProto = 0x80,
  kStop = 0x2e,
  kFrame = 0x95,
  kMark = 0x28,
  kEmptyDict = 0x7d,
  kSetItem = 0x73,
  kSetItems = 0x75,
  kBinInt = 0x4a,
  kBinInt1 = 0x4b,
  kBinInt2 = 0x4d,
  kLong1 = 0x8a,
  kShortBinUnicode = 0x8c,
  kBinUnicode = 0x58,
  kBinUnicode8 = 0x8d,
  kShortBinString = 0x55,
  kBinString = 0x54,
  kShortBinBytes = 0x43,
  kBinBytes = 0x42,
  kBinBytes8 = 0x8e,
  kMemoize = 0x94,
  kBinPut = 0x71,
  kLongBinPut = 0x72,
  kBinGet = 0x68,
  kLongBinGet = 0x6a,
  kNone = 0x4e,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinFloat = 0x47,
  kEmptyTuple = 0x29,
  kTuple = 0x74,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyList = 0x5d,
  kAppend = 0x61,
  kAppends = 0x65,
  kGlobal = 0x63,
  kStackGlobal = 0x93,
  kBinPersId = 0x51,
  kReduce = 0x52,
  kBuild = 0x62,
};

/// The name of any opcode as pickletools prints it, refused ones included; "unknown" for a byte that is none.
std::string_view pickle_opcode_name(PickleOpcode opcode) noexcept;

}  // namespace lille
