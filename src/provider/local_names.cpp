#include "provider/local_names.hpp"

#include <fmt/format.h>

namespace dms::provider {

LocalName& LocalName::operator=(LocalName&& other) noexcept {
  if (this == &other) return *this;
  release();
  names_ = std::exchange(other.names_, nullptr);
  text_ = std::move(other.text_);
  return *this;
}

void LocalName::release() {
  if (names_ != nullptr) names_->taken_.erase(text_);
}

LocalName LocalNames::take(const std::string& id) {
  std::string name = id;
  for (int suffix = 2; !taken_.insert(name).second; ++suffix) name = fmt::format("{}.{}", id, suffix);
  return {*this, std::move(name)};
}

std::optional<LocalName> LocalNames::take_up(const std::string& name) {
  if (!taken_.insert(name).second) return std::nullopt;
  return LocalName(*this, name);
}

}  // namespace dms::provider
