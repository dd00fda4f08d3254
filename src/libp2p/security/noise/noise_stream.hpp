// The encrypted stream after a Noise handshake (noise.hpp, model 3): each record is a length of two bytes, big endian,
// and a Noise message.
#pragma once

#include "libp2p/security/noise/handshake.hpp"
#include "libp2p/security/sealed_stream.hpp"

namespace dms::libp2p::noise {

class NoiseStream final : public SealedStream {
 public:
  static constexpr std::size_t kHeader = 2;
  static constexpr std::size_t kMaxPlain = kMaxMessage - CipherState::kTag;

  NoiseStream(std::unique_ptr<ByteStream> raw, Handshake::Ciphers ciphers)
      : SealedStream(std::move(raw), {"noise", kHeader, kHeader + CipherState::kTag, kMaxPlain, {}}),
        ciphers_(std::move(ciphers)) {}

 private:
  [[nodiscard]] Result<std::size_t> record_size(BytesView header) const override;
  Result<MutableBytes> open(BytesView header, MutableBytes sealed, MutableBytes into) override;
  Result<void> seal(BytesView text, MutableBytes record) override;

  Handshake::Ciphers ciphers_;
};

}  // namespace dms::libp2p::noise
