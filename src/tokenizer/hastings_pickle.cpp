#include <string>

#include "base/check.h"
#include "io/pickle.h"
#include "tokenizer/quote.h"
#include "tokenizer/vocabulary_files.h"

namespace lille {
namespace {

using Kind = PickleValue::Kind;

/// The dict under `key` of the pickle's outermost dict.
const PickleValue& dict_at(const PickleValue& root, std::string_view key, const std::string& source) {
  const PickleValue* value = root.find(key);
  if (value == nullptr || value->kind != Kind::kDict)
    raise(ErrorCode::kCorruptFile, "[tokenizer] {}: {}: expected a dict, got {}", source, key,
          value == nullptr ? "nothing" : value->kind_name());
  return *value;
}

/// Checks one item of a dict from `key_kind` to ids and returns its id.
int64_t id_of(const PickleItem& item, Kind key_kind, std::string_view dict_name, const std::string& source) {
  if (item.key->kind != key_kind)
    raise(ErrorCode::kCorruptFile, "[tokenizer] {}: {}: expected {} as a key, got {}", source, dict_name,
          key_kind == Kind::kBytes ? "bytes" : "a str", item.key->kind_name());
  if (item.value->kind != Kind::kInteger)
    raise(ErrorCode::kCorruptFile, "[tokenizer] {}: {}: token {}: expected an int, got {}", source, dict_name,
          quote(item.key->text), item.value->kind_name());
  return item.value->integer;
}

}  // namespace

Vocabulary read_hastings_pickle(const NamedText& file) {
  const Pickle pickle = parse_pickle(file.text, file.name);
  const PickleValue& root = pickle.root();
  if (root.kind != Kind::kDict)
    raise(ErrorCode::kCorruptFile, "[tokenizer] {}: expected a dict, got {}", file.name, root.kind_name());
  VocabularyBuilder builder(file.name);
  for (const PickleItem& item : dict_at(root, "mergeable_ranks", file.name).items)
    builder.add_token(item.key->text, id_of(item, Kind::kBytes, "mergeable_ranks", file.name));
  for (const PickleItem& item : dict_at(root, "special_tokens", file.name).items)
    builder.add_special(item.key->text, id_of(item, Kind::kString, "special_tokens", file.name));
  return std::move(builder).build();
}

}  // namespace lille
