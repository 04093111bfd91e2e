# `cpack -G DEB`: Debian packages of what LilleInstall.cmake installs, one for each component (docs/PACKAGING.md). A further
# component is a row of lille_package().
set(CPACK_GENERATOR DEB)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "${LILLE_PACKAGE_CONTACT}")
set(CPACK_STRIP_FILES ON)
set(CPACK_THREADS 0)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/packaging/debian/finish.cmake)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_COMPONENTS_ALL "")

# What is due to others goes into each package's copyright file.
file(READ ${PROJECT_SOURCE_DIR}/NOTICE LILLE_NOTICE)
configure_file(${PROJECT_SOURCE_DIR}/packaging/debian/copyright.in packaging/copyright @ONLY)
set(CPACK_LILLE_COPYRIGHT ${CMAKE_CURRENT_BINARY_DIR}/packaging/copyright)

# lille_package(COMPONENT NAME SECTION SUMMARY DESCRIPTION [DEPENDS ...] [RECOMMENDS ...]): the package NAME. A DESCRIPTION
# has lines of at most 78 characters. Shared libraries that programs need become dependencies by themselves.
macro(lille_package component name section summary description)
  cmake_parse_arguments(ARG "" "" "DEPENDS;RECOMMENDS" ${ARGN})
  list(APPEND CPACK_COMPONENTS_ALL ${component})
  string(TOUPPER ${component} key)
  set(CPACK_DEBIAN_${key}_PACKAGE_NAME ${name})
  set(CPACK_DEBIAN_${key}_PACKAGE_SECTION ${section})
  set(CPACK_DEBIAN_${key}_DESCRIPTION "${summary}\n${description}")
  list(JOIN ARG_DEPENDS ", " CPACK_DEBIAN_${key}_PACKAGE_DEPENDS)
  list(JOIN ARG_RECOMMENDS ", " CPACK_DEBIAN_${key}_PACKAGE_RECOMMENDS)
endmacro()

set(LILLE_RUNTIME liblille${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

lille_package(program lille science "runs Lille, a small language model, on an ordinary CPU"
"Lille-130M is a small open language model: 127 million parameters and a
context of 512 tokens. This program continues texts, chats, answers OpenAI's
HTTP API and has a page to chat on, measures, converts and quantises models.
.
It comes with a small model to try it with; others are downloaded from the
Hugging Face hub when they are named."
  RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)

lille_package(runtime ${LILLE_RUNTIME} libs "language model Lille: shared library"
"Lille-130M is a small open language model, and this library runs it, or one
of its shape, on an ordinary CPU.
.
This package has the library that programs need that were linked with it.")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/packaging/debian/triggers)

lille_package(development liblille-dev libdevel "language model Lille: headers and static library"
"Lille-130M is a small open language model, and this library runs it, or one
of its shape, on an ordinary CPU.
.
This package has what programs in C and C++ are built with: headers, the
static library, and files for CMake and pkg-config."
  DEPENDS "${LILLE_RUNTIME} (= ${PROJECT_VERSION})" libfmt-dev libutf8proc-dev zlib1g-dev libcurl4-openssl-dev libssl-dev)

if(TARGET lille_python)
  math(EXPR next_minor "${Python_VERSION_MINOR} + 1")
  lille_package(python python3-lille python "language model Lille: Python package"
"Lille-130M is a small open language model, and this package runs it, or one
of its shape, on an ordinary CPU: load, generate, stream_generate and
batch_generate with mlx-lm's names and arguments, numpy arrays in and out."
    DEPENDS "python3 (>= 3.${Python_VERSION_MINOR})" "python3 (<< 3.${next_minor})" python3-numpy)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_SHLIBDEPS ON)
endif()

include(CPack)
