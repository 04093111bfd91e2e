# How every target of the project is made: one place for flags, so that no folder has its own.

set(LILLE_LAYERS "" CACHE INTERNAL "layers declared so far, lowest first")
set(LILLE_LIBRARIES "" CACHE INTERNAL "third-party targets that the layers declared so far use")

function(lille_flags target)
  # Contraction would let the compiler fuse a*b+c where it likes, and with it the rounding of a result
  # would depend on inlining; kernels fuse explicitly.
  target_compile_options(${target} PRIVATE -ffp-contract=off -Wall -Wextra -Wshadow)
  if(LILLE_DEVELOPER_MODE)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(LILLE_SANITIZE)
    # What sanitizers insert hides from GCC 12 that a value is set (std::optional), and it warns without cause; the
    # builds without sanitizers keep the warning.
    target_compile_options(${target} PRIVATE -fsanitize=${LILLE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
                                             $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    target_link_options(${target} PRIVATE -fsanitize=${LILLE_SANITIZE})
  endif()
  if(LILLE_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# With LILLE_UNITY, the files of a target are compiled several at a time, so that what they all instantiate of other
# libraries' headers is compiled once. Their local names have to be unique in the target.
function(lille_together target)
  if(LILLE_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
    # It takes the sources of a unity file for headers.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

# Where nothing is installed, a library is built only for the programs that need it.
function(lille_on_demand target)
  if(NOT LILLE_INSTALL)
    set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
endfunction()

# lille_layer(NAME SOURCES a.cpp ... [DEPENDS lower layers] [LIBRARIES third-party targets])
function(lille_layer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  add_library(lille_${name} STATIC ${ARG_SOURCES})
  target_include_directories(lille_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  foreach(lower IN LISTS ARG_DEPENDS)
    if(NOT lower IN_LIST LILLE_LAYERS)
      message(FATAL_ERROR "layer ${name} depends on ${lower}, which does not stand below it")
    endif()
    target_link_libraries(lille_${name} PUBLIC lille_${lower})
  endforeach()
  target_link_libraries(lille_${name} PRIVATE ${ARG_LIBRARIES})
  lille_flags(lille_${name})
  lille_on_demand(lille_${name})
  set(LILLE_LAYERS ${LILLE_LAYERS} ${name} CACHE INTERNAL "")
  set(LILLE_LIBRARIES ${LILLE_LIBRARIES} ${ARG_LIBRARIES} CACHE INTERNAL "")
endfunction()

# liblille: the objects of every layer in one library. Header-only libraries leave nothing to link.
function(lille_library)
  set(objects "")
  foreach(layer IN LISTS LILLE_LAYERS)
    list(APPEND objects $<TARGET_OBJECTS:lille_${layer}>)
  endforeach()
  add_library(lille STATIC ${objects})
  add_library(lille::lille ALIAS lille)
  set_target_properties(lille PROPERTIES LINKER_LANGUAGE CXX)
  lille_on_demand(lille)
  target_include_directories(lille PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                          $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
                                          $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(lille PUBLIC cxx_std_20)
  set(libraries ${LILLE_LIBRARIES})
  list(REMOVE_DUPLICATES libraries)
  list(REMOVE_ITEM libraries nlohmann_json::nlohmann_json)
  target_link_libraries(lille PRIVATE ${libraries})
  lille_shared_library("${objects}" "${libraries}")
endfunction()

# liblille.so: the same objects. It shows the C API and the C++ API of the namespace lille, and nothing of the libraries
# that are compiled in. Within 0.x, versions that differ in the second number are not compatible. A sanitizer's runtime
# belongs to the program.
function(lille_shared_library objects libraries)
  if(LILLE_SANITIZE OR LILLE_FUZZ)
    return()
  endif()
  add_library(lille_shared SHARED ${objects})
  add_library(lille::shared ALIAS lille_shared)
  set_target_properties(lille_shared PROPERTIES
    OUTPUT_NAME lille EXPORT_NAME shared LINKER_LANGUAGE CXX
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    INTERFACE_INCLUDE_DIRECTORIES "$<TARGET_PROPERTY:lille,INTERFACE_INCLUDE_DIRECTORIES>"
    LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/lille.map)
  lille_on_demand(lille_shared)
  target_compile_features(lille_shared INTERFACE cxx_std_20)
  target_link_options(lille_shared PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/lille.map -Wl,--no-undefined
                                           -Wl,-Bsymbolic-functions)
  target_link_libraries(lille_shared PRIVATE ${libraries})
endfunction()

# lille_program(NAME SOURCES a.cpp ... LIBRARIES ...): an executable with the project's flags.
function(lille_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES})
  lille_flags(${name})
endfunction()

# lille_test(NAME SOURCES a_test.cpp ... LIBRARIES ... [TIMEOUT seconds] [LABEL name]): a GoogleTest program, one CTest
# test a case. The label `slow` keeps a program out of the runs under the sanitizers.
function(lille_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT;LABEL" "SOURCES;LIBRARIES" ${ARGN})
  lille_program(${name} SOURCES ${ARG_SOURCES} LIBRARIES ${ARG_LIBRARIES} GTest::gtest GTest::gtest_main)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE LILLE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  # What is tested is optimised; the tests themselves are there to be compiled quickly, and the sanitizers make that twice
  # as slow.
  if(LILLE_SANITIZE)
    target_compile_options(${name} PRIVATE -O0)
  else()
    target_compile_options(${name} PRIVATE -O1)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  if(LILLE_SANITIZE)
    math(EXPR ARG_TIMEOUT "3 * ${ARG_TIMEOUT}")
  endif()
  set(properties TIMEOUT ${ARG_TIMEOUT})
  if(ARG_LABEL)
    list(APPEND properties LABELS ${ARG_LABEL})
  endif()
  # A test that asks for more memory than there is expects an exception, as without the sanitizer.
  if(LILLE_SANITIZE MATCHES "address")
    list(APPEND properties ENVIRONMENT ASAN_OPTIONS=allocator_may_return_null=1)
  elseif(LILLE_SANITIZE MATCHES "thread")
    list(APPEND properties ENVIRONMENT TSAN_OPTIONS=allocator_may_return_null=1)
  endif()
  # The values of parameters are left out of the names: they may be addresses, which differ from run to run.
  gtest_discover_tests(${name} TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 300 NO_PRETTY_VALUES PROPERTIES ${properties})
endfunction()
