#include "io/pickle_opcodes.h"

#include <algorithm>
#include <array>

namespace lille {
namespace {

struct NamedOpcode {
  uint8_t code;
  std::string_view name;
};

constexpr std::array kOpcodes = {
    NamedOpcode{0x28, "MARK"},         NamedOpcode{0x29, "EMPTY_TUPLE"},
    NamedOpcode{0x2e, "STOP"},         NamedOpcode{0x30, "POP"},
    NamedOpcode{0x31, "POP_MARK"},     NamedOpcode{0x32, "DUP"},
    NamedOpcode{0x42, "BINBYTES"},     NamedOpcode{0x43, "SHORT_BINBYTES"},
    NamedOpcode{0x46, "FLOAT"},        NamedOpcode{0x47, "BINFLOAT"},
    NamedOpcode{0x49, "INT"},          NamedOpcode{0x4a, "BININT"},
    NamedOpcode{0x4b, "BININT1"},      NamedOpcode{0x4c, "LONG"},
    NamedOpcode{0x4d, "BININT2"},      NamedOpcode{0x4e, "NONE"},
    NamedOpcode{0x50, "PERSID"},       NamedOpcode{0x51, "BINPERSID"},
    NamedOpcode{0x52, "REDUCE"},       NamedOpcode{0x53, "STRING"},
    NamedOpcode{0x54, "BINSTRING"},    NamedOpcode{0x55, "SHORT_BINSTRING"},
    NamedOpcode{0x56, "UNICODE"},      NamedOpcode{0x58, "BINUNICODE"},
    NamedOpcode{0x5d, "EMPTY_LIST"},   NamedOpcode{0x61, "APPEND"},
    NamedOpcode{0x62, "BUILD"},        NamedOpcode{0x63, "GLOBAL"},
    NamedOpcode{0x64, "DICT"},         NamedOpcode{0x65, "APPENDS"},
    NamedOpcode{0x67, "GET"},          NamedOpcode{0x68, "BINGET"},
    NamedOpcode{0x69, "INST"},         NamedOpcode{0x6a, "LONG_BINGET"},
    NamedOpcode{0x6c, "LIST"},         NamedOpcode{0x6f, "OBJ"},
    NamedOpcode{0x70, "PUT"},          NamedOpcode{0x71, "BINPUT"},
    NamedOpcode{0x72, "LONG_BINPUT"},  NamedOpcode{0x73, "SETITEM"},
    NamedOpcode{0x74, "TUPLE"},        NamedOpcode{0x75, "SETITEMS"},
    NamedOpcode{0x7d, "EMPTY_DICT"},   NamedOpcode{0x80, "PROTO"},
    NamedOpcode{0x81, "NEWOBJ"},       NamedOpcode{0x82, "EXT1"},
    NamedOpcode{0x83, "EXT2"},         NamedOpcode{0x84, "EXT4"},
    NamedOpcode{0x85, "TUPLE1"},       NamedOpcode{0x86, "TUPLE2"},
    NamedOpcode{0x87, "TUPLE3"},       NamedOpcode{0x88, "NEWTRUE"},
    NamedOpcode{0x89, "NEWFALSE"},     NamedOpcode{0x8a, "LONG1"},
    NamedOpcode{0x8b, "LONG4"},        NamedOpcode{0x8c, "SHORT_BINUNICODE"},
    NamedOpcode{0x8d, "BINUNICODE8"},  NamedOpcode{0x8e, "BINBYTES8"},
    NamedOpcode{0x8f, "EMPTY_SET"},    NamedOpcode{0x90, "ADDITEMS"},
    NamedOpcode{0x91, "FROZENSET"},    NamedOpcode{0x92, "NEWOBJ_EX"},
    NamedOpcode{0x93, "STACK_GLOBAL"}, NamedOpcode{0x94, "MEMOIZE"},
    NamedOpcode{0x95, "FRAME"},        NamedOpcode{0x96, "BYTEARRAY8"},
    NamedOpcode{0x97, "NEXT_BUFFER"},  NamedOpcode{0x98, "READONLY_BUFFER"},
};

}  // namespace

std::string_view pickle_opcode_name(PickleOpcode opcode) noexcept {
  const auto found = std::find_if(kOpcodes.begin(), kOpcodes.end(), [&](const NamedOpcode& candidate) {
    return candidate.code == static_cast<uint8_t>(opcode);
  });
  return found == kOpcodes.end() ? "unknown" : found->name;
}

}  // namespace lille
