#include "libp2p/security/noise/noise_stream.hpp"

namespace dms::libp2p::noise {

Result<std::size_t> NoiseStream::record_size(BytesView header) const {
  const std::size_t size = static_cast<std::size_t>(header[0] << 8 | header[1]);
  if (size < CipherState::kTag)
    return fail(Errc::invalid_argument, "a message of {} bytes has no room for its tag", size);
  return kHeader + size;
}

Result<MutableBytes> NoiseStream::open(BytesView, MutableBytes sealed, MutableBytes into) {
  return ciphers_.receive.open({}, sealed, into);
}

Result<void> NoiseStream::seal(BytesView text, MutableBytes record) {
  const std::size_t size = text.size() + CipherState::kTag;
  record[0] = static_cast<std::uint8_t>(size >> 8);
  record[1] = static_cast<std::uint8_t>(size);
  return ciphers_.send.seal({}, text, record.subspan(kHeader));
}

}  // namespace dms::libp2p::noise
