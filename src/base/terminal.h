#pragma once

#include <filesystem>

namespace lille {

/// Whether somebody types stdin.
bool stdin_is_terminal() noexcept;
/// Whether stdin reads this very file, under whatever name.
bool stdin_is_file(const std::filesystem::path& path) noexcept;
/// Whether stdout or stderr is a terminal, where colours, bars and an echo of the prompt are welcome.
bool stdout_is_terminal() noexcept;
bool stderr_is_terminal() noexcept;

/// The file of the running program; empty where the system does not tell.
std::filesystem::path program_path();

}  // namespace lille
