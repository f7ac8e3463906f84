// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Two shared objects with different versions of the library in one process.

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <unistd.h>

#include <string>

namespace {

struct shared_object {
  void* handle;
  int (*version)();
  bool (*select)(int n, int* out);

  /// From the folder of this program.
  explicit shared_object(std::string const& name) {
    std::string path(4096, '\0');
    path.resize(static_cast<std::size_t>(::readlink("/proc/self/exe", path.data(), path.size())));
    path = path.substr(0, path.rfind('/') + 1) + name;
    handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    REQUIRE_MESSAGE(handle != nullptr, ::dlerror());
    version = reinterpret_cast<int (*)()>(::dlsym(handle, "shared_object_version"));
    select = reinterpret_cast<bool (*)(int, int*)>(::dlsym(handle, "shared_object_select"));
    REQUIRE((version != nullptr));
    REQUIRE((select != nullptr));
  }
};

TEST_CASE("two shared objects with different versions in one process, in turns") {
  shared_object const current("libtka_version_current.so");
  shared_object const next("libtka_version_next.so");
  CHECK(next.version() == current.version() + 100);
  for (int const n : {3, 700, 40000}) {
    for (shared_object const* one : {&current, &next, &current}) {
      int kept[3] = {-1, -1, -1};
      REQUIRE(one->select(n, kept));
      CHECK(kept[0] == n - 3);
      CHECK(kept[1] == n - 2);
      CHECK(kept[2] == n - 1);
    }
  }
}

}  // namespace
