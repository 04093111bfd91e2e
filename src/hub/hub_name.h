#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lille {

/// A model of the hub at one revision.
struct HubName {
  std::string owner;
  std::string name;
  std::string revision = "main";  ///< A branch, a tag or a commit.
  std::string file = "";          ///< A GGUF file at the top of the repository; empty: what is there.

  /// "owner/name"
  std::string repo() const { return owner + "/" + name; }
  /// "owner/name", with "@revision" behind it unless it is main, and ":file" if one is named.
  std::string text() const {
    return repo() + (revision == "main" ? "" : "@" + revision) + (file.empty() ? "" : ":" + file);
  }
};

/// 40 lower-case hexadecimal digits.
bool is_commit(std::string_view text) noexcept;

/// Whether a text may be a branch or tag, and so a path below `refs`: parts with `/` between them, of
/// letters, digits and `._-+`, none of which begins with a dot.
bool is_revision(std::string_view text) noexcept;

/// `OWNER/NAME[@REVISION][:FILE.gguf]` read, or nothing if the text has another form: names are letters,
/// digits and
/// `._-`, without `--` and `..`, no dot or dash at their ends, at most 96 characters together. A commit may
/// be written in capitals. Source: huggingface_hub utils/_validators.py.
std::optional<HubName> parse_hub_name(std::string_view text);

}  // namespace lille
