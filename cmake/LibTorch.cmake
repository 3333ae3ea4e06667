# LibTorch from the unpacked PyPI wheel (scripts/setup puts it there). find_package(Torch) is not
# used: the wheel is a CUDA build and its config file demands nvcc and a whole toolkit, while CPU
# code needs two libraries.

if(DEFINED ENV{FIRSTBYTE_CACHE})
  set(_firstbyte_cache $ENV{FIRSTBYTE_CACHE})
else()
  set(_firstbyte_cache $ENV{HOME}/.cache/firstbyte)
endif()
set(FIRSTBYTE_LIBTORCH "${_firstbyte_cache}/libtorch-2.11.0" CACHE PATH "Unpacked LibTorch wheels")
set(_torch ${FIRSTBYTE_LIBTORCH}/torch)
if(NOT EXISTS ${_torch}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "LibTorch not found under ${FIRSTBYTE_LIBTORCH}. Run scripts/setup, or "
                      "configure with -DFIRSTBYTE_TORCH=OFF to build without the model families.")
endif()

add_library(firstbyte_torch INTERFACE)
add_library(firstbyte::torch ALIAS firstbyte_torch)
target_include_directories(firstbyte_torch SYSTEM INTERFACE
  ${_torch}/include ${_torch}/include/torch/csrc/api/include)
target_compile_definitions(firstbyte_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
# DT_RPATH, not RUNPATH: only the former also serves the libraries that libtorch_cpu itself needs.
# allow-shlib-undefined: libtorch_cpu names CUPTI and cudart symbols that we never call.
target_link_libraries(firstbyte_torch INTERFACE
  ${_torch}/lib/libtorch_cpu.so ${_torch}/lib/libc10.so
  -Wl,--disable-new-dtags,-rpath,${_torch}/lib -Wl,--allow-shlib-undefined)

# For an image: what the programs load of LibTorch, 440 MB; `cmake --install` alone leaves it out.
file(GLOB _firstbyte_cuda ${FIRSTBYTE_LIBTORCH}/nvidia/*/lib/libcudart.so.*
     ${FIRSTBYTE_LIBTORCH}/nvidia/*/lib/libcupti.so.*)
install(FILES ${_torch}/lib/libtorch_cpu.so ${_torch}/lib/libc10.so ${_torch}/lib/libgomp.so.1
        ${_firstbyte_cuda}
        DESTINATION lib/firstbyte COMPONENT libtorch EXCLUDE_FROM_ALL)
