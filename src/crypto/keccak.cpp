#include "crypto/keccak.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace dms::crypto {
namespace {

constexpr std::size_t kLanes = 25;
constexpr std::size_t kRate = 136;  // 1600 bits less twice the 256 of the digest, in bytes

using State = std::array<std::uint64_t, kLanes>;  // lane (x, y) is state[x + 5 * y]

constexpr std::array<std::uint64_t, 24> kRoundConstants = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};

void permute(State& a) {
  for (const std::uint64_t constant : kRoundConstants) {
    // theta: each lane is XORed with the parities of two columns
    std::array<std::uint64_t, 5> parity;
    for (std::size_t x = 0; x < 5; ++x) parity[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
    for (std::size_t i = 0; i < kLanes; ++i) a[i] ^= parity[(i + 4) % 5] ^ std::rotl(parity[(i + 1) % 5], 1);
    // rho and pi: rotate each lane but the first and move it to its next position
    std::size_t x = 1;
    std::size_t y = 0;
    std::uint64_t carried = a[1];
    for (int step = 0; step < 24; ++step) {
      const std::size_t next = (2 * x + 3 * y) % 5;
      x = y;
      y = next;
      carried = std::exchange(a[x + 5 * y], std::rotl(carried, (step + 1) * (step + 2) / 2 % 64));
    }
    // chi: the only nonlinear step
    for (std::size_t row = 0; row < kLanes; row += 5) {
      const std::array<std::uint64_t, 5> before = {a[row], a[row + 1], a[row + 2], a[row + 3], a[row + 4]};
      for (std::size_t i = 0; i < 5; ++i) a[row + i] = before[i] ^ (~before[(i + 1) % 5] & before[(i + 2) % 5]);
    }
    a[0] ^= constant;  // iota
  }
}

void absorb_byte(State& state, std::size_t at, std::uint8_t byte) {
  state[at / 8] ^= static_cast<std::uint64_t>(byte) << (8 * (at % 8));
}

}  // namespace

Digest256 keccak_sponge_256(BytesView data, std::uint8_t padding) {
  State state{};
  std::size_t at = 0;
  for (const std::uint8_t byte : data) {
    absorb_byte(state, at, byte);
    if (++at == kRate) {
      permute(state);
      at = 0;
    }
  }
  absorb_byte(state, at, padding);
  absorb_byte(state, kRate - 1, 0x80);
  permute(state);
  Digest256 digest;
  for (std::size_t i = 0; i < digest.size(); ++i) digest[i] = static_cast<std::uint8_t>(state[i / 8] >> (8 * (i % 8)));
  return digest;
}

Digest256 keccak_256(BytesView data) { return keccak_sponge_256(data, 0x01); }

}  // namespace dms::crypto
