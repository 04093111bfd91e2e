#pragma once

#include <string>

#include "hub/client.h"
#include "hub/repo_cache.h"
#include "lille/hub.h"

namespace lille {

/// Brings one file into a snapshot: waits for another process that does the same, goes on where an earlier
/// attempt ended, compares size and hash with what the hub announced, and gives the blob and the link their
/// names only then.
/// @throws Error(kCorruptFile) if what came is not what was announced, and nothing of it is kept; Error(kIo)
///   if the hub fails or the disk is full, and what came is kept for the next attempt; Error(kCanceled).
void download_file(HubClient& client, const RepoCache& cache, const std::string& commit, const HubFile& file,
                   const HubOptions& options);

}  // namespace lille
