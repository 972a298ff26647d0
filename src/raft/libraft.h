// raft.h of libraft 0.22.1, made fit for C++: it lacks extern "C", and its ABI checks define types
// inside sizeof, which C++ forbids. The packaged library was compiled with those checks; here each
// becomes an empty declaration.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#define static_assert(...) struct raft_abi_check
extern "C" {
#include <raft.h>
}
#undef static_assert
#pragma GCC diagnostic pop

static_assert(RAFT_VERSION_NUMBER == 2201, "this adapter is written for libraft 0.22.1");
