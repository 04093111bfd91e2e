#include "cli/line_editor.h"

#include <fmt/format.h>
#include <langinfo.h>

#include <clocale>
#include <cstdio>
#include <random>
#include <system_error>
#include <utility>

#include "base/terminal.h"
#include "cli/cli.h"

namespace lille::cli {
namespace {

constexpr int kHistoryLines = 1000;
// Marks what has no width in a prompt.
constexpr char kLiteral = '\1';

// Keys typed in the locale's encoding; without a UTF-8 locale everything but ASCII would be lost.
void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

EditLine* make_editor() {
  use_utf8();
  return el_init("lille", stdin, stdout_is_terminal() ? stdout : stderr, stderr);
}

// The file may hold what was typed in private: nobody else may even look into its folder.
void make_private_folder(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (std::filesystem::create_directories(folder, ignored))
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, ignored);
}

}  // namespace

LineEditor::LineEditor(std::filesystem::path history_file, bool has_colour)
    : history_(history_init(), history_end),
      editor_(make_editor(), el_end),
      history_file_(std::move(history_file)),
      has_colour_(has_colour) {
  if (!history_ || !editor_)
    raise(ErrorCode::kIo, "[chat] the terminal cannot be used for editing. Hint: give the text by a pipe");
  HistEvent event;
  history(history_.get(), &event, H_SETSIZE, kHistoryLines);
  history(history_.get(), &event, H_SETUNIQUE, 1);
  if (!history_file_.empty()) history(history_.get(), &event, H_LOAD, history_file_.c_str());
  el_set(editor_.get(), EL_CLIENTDATA, this);
  el_set(editor_.get(), EL_HIST, history, history_.get());
  el_set(editor_.get(), EL_PROMPT_ESC, prompt_of, kLiteral);
  el_set(editor_.get(), EL_SIGNAL, 1);
  bind_keys();
}

LineEditor::~LineEditor() = default;

LineEditor& LineEditor::self(EditLine* editor) {
  void* data = nullptr;
  el_get(editor, EL_CLIENTDATA, &data);
  return *static_cast<LineEditor*>(data);
}

void LineEditor::bind_keys() {
  EditLine* editor = editor_.get();
  el_set(editor, EL_EDITOR, "emacs");
  el_source(editor, nullptr);
  // Ctrl-C comes as a key while a line is edited, and as a signal otherwise.
  el_set(editor, EL_SETTY, "-d", "-isig", nullptr);
  el_set(editor, EL_ADDFN, "lille-interrupt", "Leave the line", on_interrupt);
  el_set(editor, EL_BIND, "^C", "lille-interrupt", nullptr);
  el_set(editor, EL_ADDFN, "lille-paste", "Insert what is pasted", on_paste);
  el_set(editor, EL_BIND, "\\e[200~", "lille-paste", nullptr);
  el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
}

char* LineEditor::prompt_of(EditLine* editor) { return self(editor).prompt_.data(); }

unsigned char LineEditor::on_interrupt(EditLine* editor, wint_t) {
  LineEditor& of = self(editor);
  const LineInfo* line = el_line(editor);
  of.is_interrupted_ = true;
  of.interrupted_text_.assign(line->buffer, line->lastchar);
  el_cursor(editor, static_cast<int>(line->lastchar - line->cursor));
  el_insertstr(editor, "^C");
  el_push(editor, "\n");
  return CC_REFRESH;
}

unsigned char LineEditor::on_paste(EditLine* editor, wint_t) {
  constexpr std::wstring_view kEnd = L"\x1b[201~";
  std::wstring text;
  wchar_t character = 0;
  while (!text.ends_with(kEnd) && el_wgetc(editor, &character) == 1)
    text += character == L'\r' ? L'\n' : character;
  if (text.ends_with(kEnd)) text.resize(text.size() - kEnd.size());
  while (text.ends_with(L'\n')) text.pop_back();
  return text.empty() || el_winsertstr(editor, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

LineInput LineEditor::read(std::string_view prompt) {
  // libedit prints what has no width together with the character that follows it.
  constexpr const char* kBold = "\1\x1b[1;36m\1";
  constexpr const char* kPlain = "\1\x1b[0m\1";
  prompt_ = has_colour_ ? fmt::format("{}{}{} ", kBold, prompt, kPlain) : fmt::format("{} ", prompt);
  is_interrupted_ = false;
  // Terminals that know it put marks around what is pasted, so that its lines are not sent one by one.
  std::FILE* terminal = stdout_is_terminal() ? stdout : stderr;
  if (has_colour_) std::fputs("\x1b[?2004h", terminal);
  std::fflush(terminal);
  int n_bytes = 0;
  const char* bytes = el_gets(editor_.get(), &n_bytes);
  if (has_colour_) std::fputs("\x1b[?2004l", terminal);
  if (bytes == nullptr || n_bytes <= 0) std::fputs("\n", terminal);
  std::fflush(terminal);
  if (is_interrupted_) return {LineInput::Kind::kInterrupt, interrupted_text_};
  if (bytes == nullptr || n_bytes <= 0) return {LineInput::Kind::kEnd, ""};
  std::string line(bytes, static_cast<std::size_t>(n_bytes));
  if (line.ends_with('\n')) line.pop_back();
  remember(line);
  return {LineInput::Kind::kLine, line};
}

void LineEditor::remember(const std::string& line) {
  if (line.find_first_not_of(" \t\n") == std::string::npos) return;
  HistEvent event;
  history(history_.get(), &event, H_ENTER, line.c_str());
  if (!history_file_.empty()) save_history();
}

void LineEditor::save_history() {
  make_private_folder(history_file_.parent_path());
  std::filesystem::path temporary = history_file_;
  // Two chats that end a line at once must not write one temporary.
  temporary += fmt::format(".{:08x}.new", std::random_device()());
  HistEvent event;
  std::error_code failed;
  // libedit makes the file readable for its owner alone before it writes.
  if (history(history_.get(), &event, H_SAVE, temporary.c_str()) >= 0)
    std::filesystem::rename(temporary, history_file_, failed);
  else
    failed = std::make_error_code(std::errc::io_error);
  if (!failed) return;
  std::error_code ignored;
  std::filesystem::remove(temporary, ignored);
  note(fmt::format("warning: {}: the lines you type could not be kept there. Hint: --no-history",
                   printable_path(history_file_)));
  history_file_.clear();
}

}  // namespace lille::cli
