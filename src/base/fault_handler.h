#pragma once

namespace lille {

/// The usual exit status of a program whose mapped file became unreadable.
inline constexpr int kFaultExitStatus = 1;

/// For programs, never called by the library: from this call on, a read of a mapped file that is no longer
/// there (the file was truncated, the disk or network failed) writes one line that names the file to stderr
/// and ends the process with `exit_status`, instead of ending it by SIGBUS. A SIGBUS of another cause
/// stays what it is. Writing past the limit on file sizes (ulimit -f) is ignored as a signal, so that it is
/// an error of the write, like a full disk, and AtomicFile can clean up. The last call counts.
void install_fault_handler(int exit_status = kFaultExitStatus) noexcept;

}  // namespace lille
