#pragma once

#include <set>
#include <sstream>

#include "cli/program.h"

namespace lille::test {

/// The commands that the help of the program names.
inline std::vector<std::string> all_commands() {
  std::vector<std::string> commands;
  std::istringstream help(output_of({"--help"}));
  bool is_list = false;
  for (std::string line; std::getline(help, line);) {
    if (is_list && line.starts_with("  ") && line[2] != ' ')
      commands.push_back(line.substr(2, line.find(' ', 2) - 2));
    is_list = line == "Commands:" || (is_list && !line.empty());
  }
  EXPECT_GE(commands.size(), 8U);
  return commands;
}

/// Every flag in the help of a command; "" is the program.
inline std::set<std::string> flags_of(const std::string& command) {
  std::set<std::string> flags;
  std::istringstream help(command.empty() ? output_of({"--help"}) : output_of({command, "--help"}));
  for (std::string line; std::getline(help, line);) {
    if (!line.starts_with("  -")) continue;
    std::istringstream names(line.substr(2, line.find(' ', 2) - 2));
    for (std::string name; std::getline(names, name, ',');) flags.insert(name);
  }
  EXPECT_GE(flags.size(), 2U) << command;
  return flags;
}

}  // namespace lille::test
