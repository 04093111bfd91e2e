#include "io/torch_archive.h"

#include <fmt/format.h>
#include <zlib.h>

#include <bit>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace lille::test {
namespace {

std::string deflated(const std::string& content) {
  z_stream stream{};
  if (deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("deflateInit2");
  std::string packed(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int status = deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END) throw std::runtime_error("deflate");
  return packed;
}

std::size_t header_of(const std::string& zip, std::string_view signature, std::size_t n_header,
                      std::string_view name) {
  for (std::size_t pos = zip.find(signature); pos != std::string::npos; pos = zip.find(signature, pos + 1))
    if (zip.compare(pos + n_header, name.size(), name) == 0) return pos;
  throw std::logic_error(fmt::format("no member {}", name));
}

}  // namespace

std::string le(uint64_t value, int n_bytes) {
  std::string bytes;
  for (int byte_idx = 0; byte_idx < n_bytes; ++byte_idx)
    bytes += static_cast<char>(byte_idx < 8 ? value >> (8 * byte_idx) & 0xff : 0);
  return bytes;
}

std::string with_number(std::string bytes, std::size_t offset, uint64_t value, int n_bytes) {
  return bytes.replace(offset, static_cast<std::size_t>(n_bytes), le(value, n_bytes));
}

std::string zip_bytes(std::span<const ZipMember> members, ZipEnd end) {
  std::string zip;
  std::string directory;
  for (const ZipMember& member : members) {
    const std::string data = member.is_deflated ? deflated(member.content) : member.content;
    const auto crc = static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(member.content.data()),
                                                 static_cast<uInt>(member.content.size())));
    const std::size_t offset = zip.size();
    const std::size_t unpadded = offset + 30 + member.name.size() + 4;
    const std::string padding((64 - unpadded % 64) % 64, 'Z');
    const std::string sizes = le(crc, 4) + le(data.size(), 4) + le(member.content.size(), 4);
    const std::string method = le(0x808, 2) + le(member.is_deflated ? 8 : 0, 2) + le(0, 4);
    zip += "PK\3\4" + le(0, 2) + method + le(0, 12) + le(member.name.size(), 2) + le(4 + padding.size(), 2) +
           member.name + "FB" + le(padding.size(), 2) + padding + data + "PK\7\x8" + sizes;
    directory += "PK\1\2" + le(0, 4) + method + sizes + le(member.name.size(), 2) + le(0, 12) +
                 le(offset, 4) + member.name;
  }
  const std::size_t offset = zip.size();
  const std::size_t n = members.size();
  zip += directory;
  if (end == ZipEnd::kZip64) {
    const std::size_t end64 = zip.size();
    zip += "PK\6\6" + le(44, 8) + le(0x2d031e, 4) + le(0, 8) + le(n, 8) + le(n, 8) + le(directory.size(), 8) +
           le(offset, 8);
    zip += "PK\6\7" + le(0, 4) + le(end64, 8) + le(1, 4);
  }
  return zip + "PK\5\6" + le(0, 4) + le(n, 2) + le(n, 2) + le(directory.size(), 4) + le(offset, 4) + le(0, 2);
}

std::size_t local_header(const std::string& zip, std::string_view name) {
  return header_of(zip, "PK\3\4", 30, name);
}

std::size_t directory_header(const std::string& zip, std::string_view name) {
  return header_of(zip, "PK\1\2", 46, name);
}

std::string torch_str(std::string_view text) { return "X" + le(text.size(), 4) + std::string(text); }

std::string torch_int(int64_t value) {
  if (value == static_cast<int32_t>(value)) return "J" + le(static_cast<uint64_t>(value), 4);
  return "\x8a\x08" + le(static_cast<uint64_t>(value), 8);
}

std::string torch_float(double value) {
  const std::string bytes = le(std::bit_cast<uint64_t>(value), 8);
  return "G" + std::string(bytes.rbegin(), bytes.rend());
}

std::string torch_tuple(std::span<const int64_t> values) {
  std::string opcodes = "(";
  for (const int64_t value : values) opcodes += torch_int(value);
  return opcodes + "t";
}

std::string torch_dict(std::string_view items, bool is_ordered) {
  return fmt::format("{}({}u", is_ordered ? "ccollections\nOrderedDict\n)R" : "}", items);
}

std::string torch_tensor(const TorchWindow& window) {
  return fmt::format("ctorch._utils\n_rebuild_tensor_v2\n((X{}storagectorch\n{}\n{}{}{}tQ{}{}{}\x89{}tR",
                     le(7, 4), window.storage_class, torch_str(window.storage), torch_str("cpu"),
                     torch_int(window.n_storage), torch_int(window.offset), torch_tuple(window.shape),
                     torch_tuple(window.strides), "ccollections\nOrderedDict\n)R");
}

std::string torch_zip(std::string_view opcodes, std::span<const std::string> storages, bool is_deflated) {
  std::vector<ZipMember> members = {{"toy/data.pkl", fmt::format("\x80\x02{}.", opcodes), is_deflated},
                                    {"toy/byteorder", "little", is_deflated}};
  for (std::size_t key = 0; key < storages.size(); ++key)
    members.push_back({fmt::format("toy/data/{}", key), storages[key], is_deflated});
  members.push_back({"toy/version", "3\n", is_deflated});
  return zip_bytes(members);
}

std::string model_args_opcodes(const std::string& config) {
  std::string items = torch_str("dropout") + torch_float(0.1);
  const nlohmann::json object = nlohmann::json::parse(config);
  for (const auto& [key, value] : object.items()) {
    if (!value.is_number()) continue;
    const std::string name = key == "n_layer" || key == "n_head" ? key + "s" : key;
    items += torch_str(name) +
             (value.is_number_integer() ? torch_int(value.get<int64_t>()) : torch_float(value.get<double>()));
  }
  return torch_dict(items);
}

std::string torch_checkpoint(std::span<const TensorView> tensors, std::string_view model_args,
                             std::string_view prefix, bool is_deflated) {
  constexpr std::string_view kRoot = "transformer.";
  std::string items;
  std::vector<std::string> storages;
  for (const TensorView& tensor : tensors) {
    const std::string name = tensor.name.starts_with(kRoot) ? tensor.name.substr(kRoot.size()) : tensor.name;
    TorchWindow window = {.storage_class = tensor.dtype == DType::kBF16  ? "BFloat16Storage"
                                           : tensor.dtype == DType::kF16 ? "HalfStorage"
                                                                         : "FloatStorage",
                          .storage = fmt::format("{}", storages.size()),
                          .n_storage = tensor.n_elements(),
                          .shape = tensor.shape,
                          .strides = std::vector<int64_t>(tensor.shape.size(), 1)};
    for (std::size_t axis = tensor.shape.size(); axis-- > 1;)
      window.strides[axis - 1] = window.strides[axis] * tensor.shape[axis];
    items += torch_str(std::string(prefix) + name) + torch_tensor(window);
    storages.emplace_back(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  std::string root = torch_str("model_state_dict") + torch_dict(items, true);
  if (!model_args.empty()) root += torch_str("model_args") + std::string(model_args);
  return torch_zip(torch_dict(root + torch_str("iter_num") + torch_int(500)), storages, is_deflated);
}

}  // namespace lille::test
