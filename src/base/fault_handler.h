#pragma once

namespace lille {

/// The exit status of a program whose mapped file became unreadable.
inline constexpr int kFaultExitStatus = 1;

/// For programs, never called by the library: from this call on, a read of a mapped file that is no longer
/// there (the file was truncated, the disk or network failed) writes one line that names the file to stderr
/// and ends the process with kFaultExitStatus, instead of ending it by SIGBUS. A SIGBUS of another cause
/// stays what it is.
void install_fault_handler() noexcept;

}  // namespace lille
