// The folders of a node, and the daemon that the command line connects to.
#pragma once

#include "config/section.hpp"

namespace dms::cli {

struct FolderSettings {
  static constexpr std::string_view kSection = "general";
  std::string user_dir = "~/.nunet";  ///< keys and capability contexts
  std::string work_dir = "~/nunet";   ///< the daemon's state, and its Unix socket
  std::string data_dir = "~/nunet/data";
  bool debug = false;

  static auto config_fields() {
    return std::tuple(config::field("user_dir", &FolderSettings::user_dir).path(),
                      config::field("work_dir", &FolderSettings::work_dir).path(),
                      config::field("data_dir", &FolderSettings::data_dir).path(),
                      config::field("debug", &FolderSettings::debug));
  }
};

/// Not settings of the Go implementation. The daemon that the command line trusts:
/// docs/decisions/0300-which-daemon-the-command-line-trusts.md
struct DaemonSettings {
  static constexpr std::string_view kSection = "rest";
  std::string context = "dms";  ///< the daemon's context: its DID is expected
  std::string did;              ///< the daemon's DID, where that context cannot be read

  static auto config_fields() {
    return std::tuple(config::field("context", &DaemonSettings::context), config::field("did", &DaemonSettings::did));
  }
  /// Refuses a `did` that is not a DID.
  Result<void> check();
};

}  // namespace dms::cli
