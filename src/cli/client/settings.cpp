#include "cli/client/settings.hpp"

#include "did/did.hpp"

namespace dms::cli {

Result<void> DaemonSettings::check() {
  if (did.empty()) return {};
  if (auto parsed = did::Did::parse(did); !parsed || parsed->empty())
    return config::refuse("rest.did",
                          fmt::format("expected a DID such as did:key:z6Mk..., found \"{}\"", did.substr(0, 128)));
  return {};
}

}  // namespace dms::cli
