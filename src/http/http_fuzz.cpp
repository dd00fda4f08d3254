// Requests and responses from arbitrary bytes; what is accepted must stay within the limits.
#include <cstdlib>

#include "http/http.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dms::HttpLimits limits;
  limits.header_bytes = 1024;
  limits.body_bytes = 4096;
  const dms::BytesView bytes(data, size);
  if (const auto requests = dms::parse_http_requests(bytes, limits)) {
    for (const dms::HttpRequest& request : *requests) {
      if (request.body.size() > limits.body_bytes || request.target.size() > limits.header_bytes) std::abort();
      (void)request.path();
      (void)request.query("a");
    }
  } else if (requests.error().status < 400 || requests.error().status > 599) {
    std::abort();
  }
  if (const auto response = dms::parse_http_response(bytes, limits))
    if (response->body.size() > limits.body_bytes) std::abort();
  return 0;
}
