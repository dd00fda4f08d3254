// Names of container images: [registry/]path[:tag][@digest], and which registries a provider allows.
//
// The registry is the part before the first slash if it is a host (it holds '.', ':' or a capital, or is "localhost"),
// as in Docker's reference grammar; a name without one belongs to docker.io. An image that the engine already holds is
// subject to the same rule, because it may have been pulled from an internal registry for another user.
//
// Threads: any; pure. Attacks: an orchestrator names the image. Without the list it could make the provider fetch from
// hosts in the provider's own network. The id of an image is not a name: it would select an image of any registry.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace dms::executor {

/// Registries that are public.
inline constexpr std::array<std::string_view, 12> kPublicRegistries = {"docker.io",
                                                                       "ghcr.io",
                                                                       "quay.io",
                                                                       "gcr.io",
                                                                       "registry.k8s.io",
                                                                       "k8s.gcr.io",
                                                                       "mcr.microsoft.com",
                                                                       "docker.elastic.co",
                                                                       "public.ecr.aws",
                                                                       "registry.gitlab.com",
                                                                       "registry.access.redhat.com",
                                                                       "nvcr.io"};
/// An entry of the list that allows every registry.
inline constexpr std::string_view kAnyRegistry = "*";

/// Errc::invalid_argument unless it is [registry/]name[:tag][@digest] in the usual characters, and not the id of an
/// image.
Result<void> check_image_name(std::string_view image);
/// "docker.io" for names without a host. In lower case, with the port if there is one.
std::string image_registry(std::string_view image);
/// Errc::permission_denied, naming the setting, unless the image's registry is one of `allowed`.
Result<void> check_registry(std::string_view image, const std::vector<std::string>& allowed);
/// With the tag ":latest" if it has neither tag nor digest: so it is never taken for the id of an image, and one image
/// is pulled instead of all tags.
std::string tagged_image(const std::string& image);

}  // namespace dms::executor
