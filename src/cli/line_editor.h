#pragma once

#include <histedit.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace lille::cli {

/// One line, or why there is none.
struct LineInput {
  enum class Kind {
    kLine,
    kInterrupt,  ///< Ctrl-C; text is what stood in the line.
    kEnd,        ///< Ctrl-D, or the end of the input.
  };
  Kind kind = Kind::kEnd;
  std::string text;  ///< Without its newline; one that was pasted may have newlines inside.
};

/// Reads lines that a person types and may edit, with those typed before at the arrow keys. Needs stdin to be
/// a terminal.
class LineEditor {
 public:
  /// @param history_file  Lines are kept there, readable for the user alone; empty: they are forgotten.
  /// @param has_colour    The prompt is bold.
  LineEditor(std::filesystem::path history_file, bool has_colour);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  /// @param prompt  stands before the line, with a space between.
  LineInput read(std::string_view prompt);

 private:
  static char* prompt_of(EditLine* editor);
  static unsigned char on_interrupt(EditLine* editor, wint_t key);
  static unsigned char on_paste(EditLine* editor, wint_t key);
  static LineEditor& self(EditLine* editor);

  void bind_keys();
  void remember(const std::string& line);
  void save_history();

  std::unique_ptr<History, void (*)(History*)> history_;
  std::unique_ptr<EditLine, void (*)(EditLine*)> editor_;
  std::filesystem::path history_file_;
  bool has_colour_;
  bool is_interrupted_ = false;
  std::string prompt_;
  std::string interrupted_text_;
};

}  // namespace lille::cli
