#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "io/zip_file.h"

namespace lille {

/// Reads the directory of a zip file and the local header of each member, with the checks that ZipFile
/// promises of a single member.
/// @param bytes  the whole file; the members' data view it.
/// @param file   its name, for messages.
/// @throws Error as ZipFile.
std::vector<ZipEntry> read_zip_directory(std::span<const std::byte> bytes, const std::string& file);

}  // namespace lille
