#include "cli/framework/error.hpp"

#include "ucan/error.hpp"

namespace dms::cli {
namespace {

/// A valid token or context that does not allow the request.
bool not_allowed(const Error& error) {
  using enum ucan::Errc;
  for (const auto code : {expired, too_deep, revoked, broken_chain, widened, bad_signature, not_authorized})
    if (error.code() == describe(code)) return true;
  return false;
}

}  // namespace

int exit_code(const Error& error) {
  if (error.is(dms::Errc::cancelled)) return 130;
  if (error.is(Errc::usage)) return 2;
  if (error.is(Errc::refused) || error.is(dms::Errc::permission_denied) || not_allowed(error)) return 3;
  if (error.is(Errc::shut_down)) return 4;
  return 1;
}

}  // namespace dms::cli
