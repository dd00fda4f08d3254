// Included first in clang builds: clang 16 finds std::expected in GCC 12's library only if it claims C++23's concepts.
#pragma clang system_header
#undef __cpp_concepts
#define __cpp_concepts 202002L
