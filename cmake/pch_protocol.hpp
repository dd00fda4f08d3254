// Precompiled for `protocol` and the modules above it: most of their files include the actor and the declared payloads.
#pragma once
#include "actor/actor.hpp"
#include "pch.hpp"
#include "protocol/bid.hpp"
#include "protocol/deployment.hpp"
#include "protocol/serve.hpp"
