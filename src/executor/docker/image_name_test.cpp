#include "executor/docker/image_name.hpp"

#include <gmock/gmock.h>

namespace dms::executor {
namespace {
using ::testing::HasSubstr;

const std::vector<std::string> kDefault(kPublicRegistries.begin(), kPublicRegistries.end());

TEST(ImageName, Syntax) {
  for (const char* good : {"debian", "debian:12", "ghcr.io/a/b:1.2", "localhost:5000/x", "x@sha256:abc"})
    EXPECT_TRUE(check_image_name(good)) << good;
  for (const char* bad : {"", "a b", "a?b", "a%2f", "-x", "a//b", "a\n", "sha256:0123456789ab"})
    EXPECT_FALSE(check_image_name(bad)) << bad;
}

TEST(ImageName, TheRegistryIsTheHostBeforeTheFirstSlash) {
  EXPECT_EQ(image_registry("debian"), "docker.io");
  EXPECT_EQ(image_registry("debian:12"), "docker.io");
  EXPECT_EQ(image_registry("library/debian"), "docker.io");
  EXPECT_EQ(image_registry("index.docker.io/library/debian"), "docker.io");
  EXPECT_EQ(image_registry("GHCR.io/a/b:1"), "ghcr.io");
  EXPECT_EQ(image_registry("localhost/x"), "localhost");
  EXPECT_EQ(image_registry("registry:5000/x"), "registry:5000");
  EXPECT_EQ(image_registry("10.0.0.7/x"), "10.0.0.7");
  EXPECT_EQ(image_registry("HOST/x"), "host") << "capitals make it a host for Docker";
}

TEST(ImageName, OnlyPublicRegistriesByDefault) {
  for (const char* allowed :
       {"debian", "ghcr.io/a/b", "quay.io/a/b:1", "docker.elastic.co/elasticsearch/elasticsearch:8"})
    EXPECT_TRUE(check_registry(allowed, kDefault)) << allowed;
  for (const char* refused :
       {"localhost/x", "localhost:5000/x", "registry:5000/x", "10.0.0.7/x", "10.0.0.7:5000/x",
        "registry.corp.example/x", "docker.io.evil.example/x", "ghcr.io:8443/x", "HOST/x", "127.0.0.1:80/x"}) {
    const Result<void> outcome = check_registry(refused, kDefault);
    ASSERT_FALSE(outcome) << refused;
    EXPECT_TRUE(outcome.error().is(Errc::permission_denied));
    EXPECT_THAT(outcome.error().to_string(), HasSubstr("executor.docker_registries"));
  }
}

TEST(ImageName, TheProviderAllowsRegistries) {
  EXPECT_TRUE(check_registry("registry.corp.example:5000/x", {"Registry.corp.example:5000"}));
  EXPECT_FALSE(check_registry("debian", {"registry.corp.example"}));
  EXPECT_TRUE(check_registry("10.0.0.7/x", {"*"}));
  EXPECT_FALSE(check_registry("debian", {}));
}

TEST(ImageName, ANameIsNeverTheIdOfAnImage) {
  EXPECT_EQ(tagged_image("a1b2"), "a1b2:latest");
  EXPECT_EQ(tagged_image("debian:12"), "debian:12");
  EXPECT_EQ(tagged_image("localhost:5000/x"), "localhost:5000/x:latest");
  EXPECT_EQ(tagged_image("x@sha256:abc"), "x@sha256:abc");
}

}  // namespace
}  // namespace dms::executor
