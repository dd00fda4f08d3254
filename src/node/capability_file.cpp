#include "node/capability_file.hpp"

#include "base/assert.hpp"
#include "base/file.hpp"
#include "base/log.hpp"

namespace dms::node {

Task<Result<void>> CapabilityFile::save() {
  if (file_.empty()) co_return Result<void>();
  auto write = [file = file_, text = context_->serialise()] { return write_file(file, text, 0600); };
  Result<void> written = co_await offload(write);
  co_return std::move(written);
}

Task<Result<void>> CapabilityFile::anchor(ucan::Anchors more) {
  const Mutex::Lock lock = co_await changing_.lock();
  const UnixTime now = lane_.unix_now();
  const std::string before = context_->serialise();
  CO_TRY_VOID(context_->anchor(more, now));
  Task<Result<void>> saving = save();
  Result<void> saved = co_await std::move(saving);
  if (!saved) {
    const Result<void> restored = context_->reload(before, now);
    DMS_EXPECT(restored, "the capability context cannot be restored");
  }
  co_return std::move(saved);
}

Task<std::size_t> CapabilityFile::learn(ucan::TokenList revocations) {
  const Mutex::Lock lock = co_await changing_.lock();
  std::size_t added = 0;
  for (const ucan::Token& revocation : revocations.tokens) {
    const Result<bool> learned = context_->learn(revocation, lane_.unix_now());
    if (learned) {
      added += *learned ? 1 : 0;
      continue;
    }
    log::debug("node", "a revocation is not kept: {}", learned.error().to_string());
    if (learned.error().is(ucan::Errc::bad_signature)) break;
  }
  if (added == 0) co_return added;
  Task<Result<void>> saving = save();
  const Result<void> saved = co_await std::move(saving);
  if (!saved) log::error("node", "{} revocations are in effect and not saved: {}", added, saved.error().to_string());
  co_return added;
}

}  // namespace dms::node
