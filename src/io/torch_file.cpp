#include "io/torch_file.h"

#include <cstring>
#include <map>

#include "base/check.h"
#include "base/text.h"
#include "io/torch_state.h"

namespace lille {
namespace {

/// A hundred times the pickle of a Lille with its optimizer.
constexpr std::size_t kMaxPickleBytes = std::size_t{64} << 20;
constexpr std::string_view kPickleMember = "/data.pkl";

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// PyTorch before 1.6 wrote pickles one after the other, and tar files before that.
MappedFile open_zip(const std::filesystem::path& path) {
  MappedFile file(path);
  const std::string_view text = text_of(file.bytes());
  if (text.starts_with('\x80') || (text.size() > 262 && text.substr(257, 5) == "ustar"))
    raise(ErrorCode::kUnsupported,
          "[load_torch] {}: expected a zip file as torch.save has written since PyTorch 1.6, got a file of "
          "the older form. Hint: convert it with python -c \"import torch; torch.save(torch.load('old.pt', "
          "map_location='cpu', weights_only=True), 'new.pt')\"",
          printable_path(path));
  if (!text.starts_with("PK"))
    raise(ErrorCode::kCorruptFile,
          "[load_torch] {}: expected a zip file as torch.save writes, got one that begins with \"{}\". Hint: "
          "is "
          "the download complete, and not a page of a web site?",
          printable_path(path), printable(text.substr(0, 8), 8));
  return file;
}

/// The members of the archive, all of which stand below one folder.
class Archive {
 public:
  explicit Archive(const ZipFile& zip) : zip_(zip), file_(printable_path(zip.path())) {
    for (const ZipEntry& entry : zip.entries()) {
      if (!entry.name.ends_with(kPickleMember) ||
          entry.name.find('/') != entry.name.size() - kPickleMember.size())
        continue;
      if (!folder_.empty())
        raise(ErrorCode::kCorruptFile,
              "[load_torch] {}: expected one data.pkl, got {}/data.pkl and {}. Hint: "
              "was the file written by torch.save?",
              file_, printable(folder_), printable(entry.name));
      folder_ = entry.name.substr(0, entry.name.size() - kPickleMember.size());
    }
    if (folder_.empty())
      raise(
          ErrorCode::kUnsupported,
          "[load_torch] {}: expected a member NAME/data.pkl, got a zip file of {} members without one. Hint: "
          "was the file written by torch.save?",
          file_, zip.entries().size());
    if (member("constants.pkl") != nullptr)
      raise(
          ErrorCode::kUnsupported,
          "[load_torch] {}: expected a checkpoint of torch.save, got a program of torch.jit.save. Hint: save "
          "model.state_dict()",
          file_);
    check_byte_order();
  }

  const std::string& file() const { return file_; }
  /// The member below the folder, or nullptr.
  const ZipEntry* member(std::string_view name) const { return zip_.find(folder_ + "/" + std::string(name)); }
  std::string pickle() const { return zip_.read_text(*member("data.pkl"), kMaxPickleBytes); }

 private:
  void check_byte_order() const {
    const ZipEntry* entry = member("byteorder");
    if (entry == nullptr) return;
    const std::string order = zip_.read_text(*entry, kMaxPickleBytes);
    if (order != "little")
      raise(ErrorCode::kUnsupported,
            "[load_torch] {}: byteorder: expected \"little\", got \"{}\". Hint: save the file again on a "
            "little-endian machine",
            file_, printable(order, 16));
  }

  const ZipFile& zip_;
  std::string file_;
  std::string folder_;
};

/// Finds the bytes of storages and of tensors in them.
class StorageReader {
 public:
  StorageReader(const ZipFile& zip, const Archive& archive, std::vector<AlignedBuffer<std::byte>>& buffers)
      : zip_(zip), archive_(archive), buffers_(buffers), n_left_to_copy_(zip.total_bytes()) {}

  TensorView read(const TorchTensor& tensor) {
    const std::span<const std::byte> storage = read_storage(tensor);
    const auto n_item = static_cast<std::size_t>(dtype_bytes(tensor.dtype));
    TensorView view = {.name = tensor.name,
                       .dtype = tensor.dtype,
                       .shape = tensor.shape,
                       .bytes = {},
                       .file = archive_.file()};
    const auto n_bytes = static_cast<std::size_t>(tensor.n_elements()) * n_item;
    if (n_bytes == 0) return view;
    if (tensor.is_contiguous())
      view.bytes = storage.subspan(static_cast<std::size_t>(tensor.offset) * n_item, n_bytes);
    else
      view.bytes = gather(tensor, storage, n_bytes);
    return view;
  }

 private:
  [[noreturn]] void fail(const TorchTensor& tensor, std::string_view expected, std::string_view found) const {
    raise(ErrorCode::kCorruptFile, "[load_torch] {}: \"{}\": expected {}, got {}. Hint: is the file whole?",
          archive_.file(), printable(tensor.name), expected, found);
  }

  std::span<const std::byte> read_storage(const TorchTensor& tensor) {
    const ZipEntry* entry = archive_.member("data/" + tensor.storage);
    if (entry == nullptr) fail(tensor, fmt::format("the storage data/{}", printable(tensor.storage)), "none");
    int64_t n_bytes = 0;
    if (__builtin_mul_overflow(tensor.n_storage, dtype_bytes(tensor.dtype), &n_bytes) ||
        static_cast<uint64_t>(n_bytes) != entry->n_bytes)
      fail(tensor,
           fmt::format("a storage data/{} of {} elements of {}", printable(tensor.storage), tensor.n_storage,
                       dtype_name(tensor.dtype)),
           fmt::format("{} bytes", entry->n_bytes));
    if (!entry->is_deflated) return entry->data;
    const auto [inflated, is_new] = inflated_.try_emplace(entry);
    if (is_new) inflated->second = buffers_.emplace_back(zip_.inflate(*entry)).span();
    return inflated->second;
  }

  /// The elements of a strided tensor one after the other. Views of one storage are few: the copies of all of
  /// them may be as large as the whole archive.
  std::span<const std::byte> gather(const TorchTensor& tensor, std::span<const std::byte> storage,
                                    std::size_t n_bytes) {
    if (n_bytes > n_left_to_copy_)
      fail(tensor, "strided tensors no larger than all storages together", "more");
    n_left_to_copy_ -= n_bytes;
    std::byte* out = buffers_.emplace_back(n_bytes).data();
    const auto n_item = static_cast<std::size_t>(dtype_bytes(tensor.dtype));
    std::vector<int64_t> index(tensor.shape.size(), 0);
    // Unsigned, since a step that is undone at once may leave the range.
    auto place = static_cast<uint64_t>(tensor.offset);
    for (std::size_t done = 0; done < n_bytes; done += n_item) {
      std::memcpy(out + done, storage.data() + place * n_item, n_item);
      for (std::size_t axis = index.size(); axis-- > 0;) {
        const auto stride = static_cast<uint64_t>(tensor.strides[axis]);
        place += stride;
        if (++index[axis] < tensor.shape[axis]) break;
        place -= stride * static_cast<uint64_t>(tensor.shape[axis]);
        index[axis] = 0;
      }
    }
    return buffers_.back().span();
  }

  const ZipFile& zip_;
  const Archive& archive_;
  std::vector<AlignedBuffer<std::byte>>& buffers_;
  std::map<const ZipEntry*, std::span<const std::byte>> inflated_;
  uint64_t n_left_to_copy_;
};

}  // namespace

TorchFile::TorchFile(const std::filesystem::path& path) : zip_(open_zip(path)) {
  const Archive archive(zip_);
  TorchState state = read_torch_state(archive.pickle(), archive.file());
  StorageReader storages(zip_, archive, buffers_);
  tensors_.reserve(state.tensors.size());
  for (const TorchTensor& tensor : state.tensors) tensors_.push_back(storages.read(tensor));
  model_args_ = std::move(state.model_args);
}

std::optional<ModelArgs> TorchFile::model_args() const {
  if (!model_args_) return std::nullopt;
  return ModelArgs::from_json(*model_args_, path().string() + " (model_args)");
}

void TorchFile::check_content() const {
  for (const ZipEntry& entry : zip_.entries()) zip_.check_content(entry);
}

}  // namespace lille
