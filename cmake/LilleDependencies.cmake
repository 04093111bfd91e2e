# Every dependency, in one place; scripts/dependencies.sh names the Debian package of each and why it is here.
include(GoogleTest)

find_package(Threads REQUIRED)

# Only its header is used: XXH3 is compiled in.
find_path(XXHASH_INCLUDE xxhash.h REQUIRED)

# Without libraries for the target, fmt's headers alone, and GoogleTest from Debian's package of its source.
if(LILLE_KERNELS_ONLY)
  find_path(FMT_INCLUDE fmt/core.h REQUIRED)
  add_library(fmt::fmt INTERFACE IMPORTED)
  target_include_directories(fmt::fmt INTERFACE ${FMT_INCLUDE})
  target_compile_definitions(fmt::fmt INTERFACE FMT_HEADER_ONLY)
  if(LILLE_DEVELOPER_MODE)
    find_path(GOOGLETEST_SOURCE CMakeLists.txt PATHS /usr/src/googletest NO_DEFAULT_PATH REQUIRED)
    set(INSTALL_GTEST OFF)
    set(BUILD_GMOCK OFF)
    add_subdirectory(${GOOGLETEST_SOURCE} googletest EXCLUDE_FROM_ALL)
  endif()
  return()
endif()

find_package(nlohmann_json 3.11 REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(Utf8proc REQUIRED)
find_package(ZLIB 1.2.9 REQUIRED)
find_package(CURL 7.85 REQUIRED)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto SSL)

find_path(EDITLINE_INCLUDE histedit.h REQUIRED)
find_library(EDITLINE_LIBRARY edit REQUIRED)
add_library(editline::editline UNKNOWN IMPORTED)
set_target_properties(editline::editline PROPERTIES IMPORTED_LOCATION ${EDITLINE_LIBRARY}
                      INTERFACE_INCLUDE_DIRECTORIES ${EDITLINE_INCLUDE})

# For the server alone, which the program has and the library has not.
find_path(HTTPLIB_INCLUDE httplib.h REQUIRED)
find_library(HTTPLIB_LIBRARY cpp-httplib REQUIRED)
add_library(httplib::httplib UNKNOWN IMPORTED)
set_target_properties(httplib::httplib PROPERTIES IMPORTED_LOCATION ${HTTPLIB_LIBRARY}
                      INTERFACE_INCLUDE_DIRECTORIES ${HTTPLIB_INCLUDE})

if(LILLE_PYTHON)
  # Debian's packages are those of Debian's interpreter, whichever comes first in PATH.
  if(NOT Python_EXECUTABLE AND EXISTS /usr/bin/python3)
    set(Python_EXECUTABLE /usr/bin/python3)
  endif()
  find_package(Python 3.9 REQUIRED COMPONENTS Interpreter Development.Module)
  find_package(pybind11 2.10 REQUIRED)
endif()

if(LILLE_DEVELOPER_MODE)
  find_package(GTest 1.12 REQUIRED)
  find_package(benchmark 1.7 REQUIRED)
  find_path(PCRE2_INCLUDE pcre2.h REQUIRED)
  find_library(PCRE2_LIBRARY pcre2-8 REQUIRED)
  add_library(pcre2::pcre2-8 UNKNOWN IMPORTED)
  set_target_properties(pcre2::pcre2-8 PROPERTIES IMPORTED_LOCATION ${PCRE2_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${PCRE2_INCLUDE})
endif()
