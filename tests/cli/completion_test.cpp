#include "cli/command_flags.h"

namespace lille::test {
namespace {

using Words = std::vector<std::string>;

// What bash offers for the last of the words, in order of the alphabet.
Words bash_offers(const Words& words, const std::filesystem::path& folder = "/") {
  RunOptions options;
  options.wrapper = {"/bin/bash", "-c",
                     "cd '" + folder.string() +
                         "'; source <(\"$0\" completion bash); COMP_WORDS=(lille \"$@\"); COMP_CWORD=$#; "
                         "_lille; ((${#COMPREPLY[@]} == 0)) || printf '%s\\n' \"${COMPREPLY[@]}\""};
  std::istringstream lines(output_of(words, options));
  std::set<std::string> offers;
  for (std::string line; std::getline(lines, line);) offers.insert(line);
  return {offers.begin(), offers.end()};
}

Words sorted(const std::vector<std::string>& words) {
  const std::set<std::string> unique(words.begin(), words.end());
  return {unique.begin(), unique.end()};
}

// From the first line that contains `begin` to the first one after it that is `end`.
std::string part_of(const std::string& script, const std::string& begin, const std::string& end) {
  const std::size_t from = script.find(begin);
  EXPECT_NE(from, std::string::npos) << begin;
  return from == std::string::npos ? "" : script.substr(from, script.find(end, from) - from);
}

TEST(BashCompletion, OffersEveryCommandAndEveryFlag) {
  EXPECT_EQ(bash_offers({""}), sorted(all_commands()));
  for (const std::string& command : all_commands()) {
    const std::set<std::string> flags = flags_of(command);
    EXPECT_EQ(bash_offers({command, "-"}), Words(flags.begin(), flags.end())) << command;
  }
  EXPECT_EQ(bash_offers({"--v"}), Words({"--version"}));
}

TEST(BashCompletion, BeginningsOfWords) {
  EXPECT_EQ(bash_offers({"per"}), Words({"perplexity"}));
  EXPECT_EQ(bash_offers({"generate", "--temp"}), Words({"--temp", "--temperature"}));
  EXPECT_EQ(bash_offers({"generate", "info", "--no-b"}), Words({"--no-bos"})) << "a prompt is no command";
  EXPECT_EQ(bash_offers({"nosuch", ""}), sorted(all_commands()));
}

TEST(BashCompletion, Values) {
  EXPECT_EQ(bash_offers({"info", "--rope", ""}), Words({"half", "interleaved", "original"}));
  EXPECT_EQ(bash_offers({"info", "--rope", "="}), Words({"half", "interleaved", "original"}));
  EXPECT_EQ(bash_offers({"generate", "hi", "--overflow", "=", "tr"}), Words({"trim-turns", "truncate-left"}));
  EXPECT_EQ(bash_offers({"completion", ""}), Words({"bash", "fish", "zsh"}));
  EXPECT_EQ(bash_offers({"man", "gen"}), Words({"generate"}));
  EXPECT_EQ(bash_offers({"generate", "--seed", ""}), Words());
  EXPECT_EQ(bash_offers({"generate", "--seed", "-"}), Words()) << "a value is no flag";
  EXPECT_EQ(bash_offers({"generate", ""}), Words()) << "a prompt is any text";
  EXPECT_EQ(bash_offers({"generate", "--", "-"}), Words()) << "after -- there are no flags";
}

TEST(BashCompletion, FilesAndFolders) {
  const TemporaryFolder folder;
  folder.write("model notes.txt", "x");
  std::filesystem::create_directory(folder.path() / "model one");
  EXPECT_EQ(bash_offers({"man", "--write", "mod"}, folder.path()), Words({"model one"}));
  EXPECT_EQ(bash_offers({"info", "--model", "mod"}, folder.path()), Words({"model notes.txt", "model one"}));
  const std::vector<Words> before = {{"batch"}, {"convert"}, {"convert", "model one"}};
  for (Words words : before) {
    words.push_back("mod");
    EXPECT_EQ(bash_offers(words, folder.path()), Words({"model notes.txt", "model one"})) << words.front();
  }
  EXPECT_EQ(bash_offers({"perplexity", "--text", "mod"}, folder.path()),
            Words({"model notes.txt", "model one"}));
}

TEST(ZshCompletion, HasEveryCommandAndEveryFlag) {
  const std::string script = output_of({"completion", "zsh"});
  EXPECT_TRUE(script.starts_with("#compdef lille\n"));
  for (const std::string& command : all_commands()) {
    EXPECT_NE(script.find("\n        '" + command + ":"), std::string::npos) << command;
    EXPECT_NE(script.find("\n        " + command + ") _lille_" + command + " ;;\n"), std::string::npos);
    const std::string function = part_of(script, "\n_lille_" + command + "() {\n", "\n}\n");
    for (const std::string& flag : flags_of(command)) {
      const bool is_there = function.find("\n    " + flag) != std::string::npos ||
                            function.find("'" + flag) != std::string::npos ||
                            function.find("{" + flag) != std::string::npos ||
                            function.find("," + flag) != std::string::npos;
      EXPECT_TRUE(is_there) << command << " " << flag;
    }
  }
}

TEST(ZshCompletion, QuotesWhatZshWouldRead) {
  const std::string script = output_of({"completion", "zsh"});
  EXPECT_NE(script.find(":LAYOUT:(interleaved half original)'"), std::string::npos);
  EXPECT_NE(script.find(":ID\\:X,...: '"), std::string::npos);
  EXPECT_NE(script.find("best token'\\''s probability"), std::string::npos);
  EXPECT_NE(script.find(":DIR:_files -/'"), std::string::npos);
  EXPECT_NE(script.find("'*'--stop="), std::string::npos) << "it may be given again";
}

TEST(FishCompletion, HasEveryCommandAndEveryFlag) {
  const std::string script = output_of({"completion", "fish"});
  for (const std::string& command : all_commands()) {
    const std::string at = "complete -c lille -n '__lille_at lille " + command + "'";
    EXPECT_NE(script.find("'__lille_at lille' -a " + command + " -d '"), std::string::npos) << command;
    for (const std::string& flag : flags_of(command)) {
      const std::string name = flag.starts_with("--") ? " -l " + flag.substr(2) : " -s " + flag.substr(1);
      bool is_there = false;
      for (std::size_t line = script.find(at); line != std::string::npos; line = script.find(at, line + 1))
        is_there = is_there ||
                   script.substr(line, script.find('\n', line) - line).find(name + " ") != std::string::npos;
      EXPECT_TRUE(is_there) << command << " " << flag;
    }
  }
  EXPECT_NE(script.find(" -l rope -x -a 'interleaved half original' -d '"), std::string::npos);
  EXPECT_NE(script.find(" -l write -x -a '(__fish_complete_directories)' -d '"), std::string::npos);
  for (const char* name : {"text", "model"})
    EXPECT_NE(script.find(std::string(" -l ") + name + " -r -F -d '"), std::string::npos) << name;
  EXPECT_NE(script.find("best token\\'s probability"), std::string::npos);
  EXPECT_NE(script.find("'__lille_at lille completion' -a 'bash zsh fish'\n"), std::string::npos);
}

TEST(Completion, AnotherShellIsRefused) {
  expect_failure(kWrongUsage, "shell: expected bash, zsh or fish, got \"tcsh\"", {"completion", "tcsh"});
  expect_failure(kWrongUsage, "shell is required", {"completion"});
}

}  // namespace
}  // namespace lille::test
