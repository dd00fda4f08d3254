// The folder of this machine, left out of what other machines are told.
//
// Model
//  1. Errors here name files by their paths. To another machine a text says `<work directory>` in the place of the work
//     directory, wherever a path begins with it; what follows stays.
//  2. The texts of a message are its `error`, `reason` and `health_message`, and those of its reports and results. The
//     output of work is its own, and stays as it is.
//  3. This node's own orchestrator is told the whole text. So is the log: of an `error` when it is told, of the reason
//     of an end when the run ends (allocation.hpp).
//
// Every message with such a text goes through leave_out(): replies by before_reply() of the classes that serve them
// (protocol/serve.hpp), notices of ends by Allocation. Threads: any. Cost: linear in the texts.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "did/did.hpp"

namespace dms::provider {

inline constexpr std::string_view kWorkDirectory = "<work directory>";

class OwnFolder {
 public:
  /// `own`: the DID of this node.
  OwnFolder(const std::filesystem::path& work_dir, did::Did own);

  template <class Message>
  void leave_out(Message& message, const did::Did& to) const {
    if (to != own_) leave_out_of(message);
  }
  [[nodiscard]] std::string without(std::string_view text) const;

 private:
  template <class Message>
  void leave_out_of(Message& message) const {
    if constexpr (requires { message.error.c_str(); }) tell_error(message.error);
    if constexpr (requires { message.reason.c_str(); }) message.reason = without(message.reason);
    if constexpr (requires { message.health_message.c_str(); })
      message.health_message = without(message.health_message);
    if constexpr (requires { message.allocations.begin()->second.reason; })
      for (auto& [name, report] : message.allocations) leave_out_of(report);
    if constexpr (requires { message.results.begin()->error; })
      for (auto& file : message.results) leave_out_of(file);
  }
  void tell_error(std::string& text) const;

  std::string folder_;  ///< empty: none is known
  did::Did own_;
};

}  // namespace dms::provider
