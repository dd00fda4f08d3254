// Changes of the node's capability context that are kept in its file.
//
// Model: one change at a time, from its check to the end of its write. anchor() is undone if it cannot be saved.
// learn() is not: a revocation takes effect although the disk is full, and is written with the next change.
// Threads: the node's lane; the write is off it.
#pragma once

#include <filesystem>

#include "runtime/lane.hpp"
#include "runtime/mutex.hpp"
#include "ucan/context.hpp"

namespace dms::node {

class CapabilityFile {
 public:
  /// Without a file nothing is written (simulations). The file, `lane` and the context outlive this.
  CapabilityFile(Lane& lane, std::shared_ptr<ucan::CapabilityContext> context, const std::filesystem::path& file)
      : lane_(lane), context_(std::move(context)), file_(file) {}

  [[nodiscard]] ucan::CapabilityContext& context() const { return *context_; }
  /// The name of the context: that of its file.
  [[nodiscard]] std::string name() const { return file_.stem().string(); }
  Task<Result<void>> anchor(ucan::Anchors more);
  /// The number of those that are new, see ucan::CapabilityContext::learn(). Ends at the first with a wrong signature.
  Task<std::size_t> learn(ucan::TokenList revocations);

 private:
  Task<Result<void>> save();

  Lane& lane_;
  std::shared_ptr<ucan::CapabilityContext> context_;
  const std::filesystem::path& file_;
  Mutex changing_;
};

}  // namespace dms::node
