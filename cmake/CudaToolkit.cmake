# nvcc for the CUDA plugin. Looked for in CUDACXX, the PATH, CUDA_HOME and where NVIDIA installs it.

set(FIRSTBYTE_CUDA_ARCHITECTURES "80;86;89;90a;100;120" CACHE STRING
    "GPU architectures of the plugin; a developer takes one, such as 90a")

include(CheckLanguage)
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(_nvcc nvcc PATHS $ENV{CUDA_HOME}/bin /usr/local/cuda/bin /usr/local/cuda-13.0/bin)
  if(_nvcc)
    set(CMAKE_CUDA_COMPILER ${_nvcc})
  endif()
endif()
# The architectures are given flag by flag: this CMake does not know all of their names.
set(CMAKE_CUDA_ARCHITECTURES OFF)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  message(FATAL_ERROR "FIRSTBYTE_CUDA needs nvcc 13: install NVIDIA's CUDA toolkit and set CUDACXX "
                      "to its nvcc, or leave FIRSTBYTE_CUDA off (all other presets do).")
endif()
enable_language(CUDA)
# CMake 3.25 does not know that nvcc has C++20.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
