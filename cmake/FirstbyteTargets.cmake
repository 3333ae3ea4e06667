# The two ways a target is made here, so that warnings, sanitizers and include paths are the same
# everywhere. Includes are written from the repository root: #include "model/model.h".

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# An installed program finds LibTorch beside it (component libtorch), else where it was built with it.
set(CMAKE_INSTALL_RPATH "\$ORIGIN/../lib/firstbyte")
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)

add_library(firstbyte_options INTERFACE)
target_include_directories(firstbyte_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(firstbyte_options INTERFACE -Wall -Wextra -Wno-missing-field-initializers)
if(FIRSTBYTE_WERROR)
  target_compile_options(firstbyte_options INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # g++ 12 warns at -O3 on every "literal" + std::string (GCC bug 105651), and on a moved
  # std::variant whose other alternative holds a pointer.
  target_compile_options(firstbyte_options INTERFACE -Wno-restrict -Wno-maybe-uninitialized)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(firstbyte_options INTERFACE -Wthread-safety)
endif()
if(FIRSTBYTE_SANITIZE)
  add_compile_options(-fsanitize=${FIRSTBYTE_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FIRSTBYTE_SANITIZE})
  if(FIRSTBYTE_SANITIZE MATCHES undefined)
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()

# firstbyte_library(base SRCS a.cc b.cc DEPS absl::status)
# DEPS are PUBLIC: what a header includes. PRIVATE_DEPS stay inside.
function(firstbyte_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SRCS})
  target_link_libraries(${name} PUBLIC firstbyte_options ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
endfunction()

# firstbyte_executable(loadgen SRCS main.cc DEPS client)
# Programs lie together in build/<preset>/bin; INSTALL also puts it into `cmake --install`'s bin.
function(firstbyte_executable name)
  cmake_parse_arguments(ARG "INSTALL" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  target_link_libraries(${name} PRIVATE firstbyte_options ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  if(ARG_INSTALL)
    install(TARGETS ${name})
  endif()
endfunction()

# firstbyte_test(scheduler_test LABEL unit SRCS lane_test.cc policy_test.cc DEPS scheduler)
# One binary per folder keeps linking short; LABEL is unit, rpc, golden, fault, structure, gpu or
# soak.
function(firstbyte_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  target_link_libraries(${name} PRIVATE firstbyte_options ${ARG_DEPS} GTest::gmock_main)
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)  # half of a build is tests
  target_compile_definitions(${name} PRIVATE FIRSTBYTE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT})
endfunction()
