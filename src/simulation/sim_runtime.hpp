// The old name of sim_world.hpp.
#pragma once
#include "simulation/sim_world.hpp"
