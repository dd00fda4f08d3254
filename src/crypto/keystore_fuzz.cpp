// Any key file is refused or decrypted, at a bounded cost: 256 KiB here, so that each input takes little time.
#include "crypto/keystore.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::crypto;
  (void)decrypt_key(dms::as_text({data, size}), Secret(std::string_view("fuzz")), kMaxScryptMemory >> 12);
  return 0;
}
