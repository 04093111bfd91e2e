#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace lille {

/// The most memory this process ever had resident, in bytes, mapped files included.
int64_t peak_memory_bytes() noexcept;

/// What of this process is resident, in bytes.
struct ResidentMemory {
  int64_t private_bytes = 0;  ///< Pages that no other process has.
  int64_t shared_bytes = 0;   ///< Pages that other processes have too, such as those of a mapped file.
};

/// Nothing where the system does not tell.
std::optional<ResidentMemory> resident_memory();

/// What tells whether a file is still the one that was seen before, without reading it.
struct FileIdentity {
  std::string path;      ///< Absolute, without symbolic links; any bytes.
  int64_t n_bytes = 0;   ///< Its size.
  int64_t mtime_ns = 0;  ///< When its content last changed, in nanoseconds since 1970.

  bool operator==(const FileIdentity&) const = default;
};

/// @throws Error(kNotFound | kIo)
FileIdentity file_identity(const std::filesystem::path& path);

/// The processor's name as it gives it, or that of the board it is on; "unknown" where the system does not
/// tell.
std::string cpu_model_name();

/// What the processor can do and the system allows, as bits that each architecture numbers on its own
/// (AT_HWCAP, AT_HWCAP2).
struct HardwareCapabilities {
  uint64_t first = 0;
  uint64_t second = 0;
};
HardwareCapabilities hardware_capabilities() noexcept;

/// Bytes of memory of the machine; 0 where the system does not tell.
int64_t physical_memory_bytes() noexcept;

/// Asks the system to keep AMX's tile registers for this process from now on (Linux: arch_prctl with
/// ARCH_REQ_XCOMP_PERM); false where it refuses, has no such call, or the processor has no tiles. Asking
/// again is harmless. Signal stacks (sigaltstack) must then have room for the tiles, 11 KiB in all.
bool request_tile_registers() noexcept;

}  // namespace lille
