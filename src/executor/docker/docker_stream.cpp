#include "executor/docker/docker_stream.hpp"

#include <algorithm>

namespace dms::executor {

Result<void> DockerDemux::take_header() {
  header_size_ = 0;
  // 0 is stdin, echoed; 1 and 2 are stdout and stderr; 3 would be an error of the engine.
  if (header_[0] > 2 || header_[1] != 0 || header_[2] != 0 || header_[3] != 0) {
    broken_ = true;
    return fail(Errc::invalid_argument, "Docker log stream: {} {} {} {} is not a frame header", header_[0], header_[1],
                header_[2], header_[3]);
  }
  begins_ = true;
  channel_ = header_[0] == 2 ? Channel::err : Channel::out;
  left_ = static_cast<std::uint32_t>(header_[4]) << 24 | static_cast<std::uint32_t>(header_[5]) << 16 |
          static_cast<std::uint32_t>(header_[6]) << 8 | header_[7];
  return {};
}

Result<void> DockerDemux::feed(BytesView bytes) {
  while (!bytes.empty()) {
    if (broken_) return fail(Errc::invalid_argument, "Docker log stream: an earlier frame header was invalid");
    if (left_ == 0) {
      const std::size_t n = std::min(bytes.size(), header_.size() - header_size_);
      std::copy_n(bytes.begin(), n, header_.begin() + static_cast<std::ptrdiff_t>(header_size_));
      header_size_ += n;
      bytes = bytes.subspan(n);
      if (header_size_ == header_.size()) TRY_VOID(take_header());
      continue;
    }
    const std::size_t n = std::min<std::size_t>(bytes.size(), left_);
    sink_(channel_, bytes.first(n), std::exchange(begins_, false));
    left_ -= static_cast<std::uint32_t>(n);
    bytes = bytes.subspan(n);
  }
  return {};
}

}  // namespace dms::executor
