# Finds LibTorch and defines the target groma_libtorch: libtorch_cpu and libc10, and with CUDA
# libtorch_cuda and libc10_cuda. Torch's own CMake package stops where no CUDA toolkit is present,
# although a CPU program needs none; so the libraries are named here.
# Searched: GROMA_LIBTORCH, Torch_DIR, CMAKE_PREFIX_PATH, then the folder that scripts/setup.sh fills.

set(groma_deps $ENV{GROMA_DEPS})
if(NOT groma_deps)
  set(groma_deps $ENV{HOME}/.cache/groma)
endif()
set(groma_torch_hints ${GROMA_LIBTORCH})
if(NOT GROMA_LIBTORCH)
  if(Torch_DIR)
    list(APPEND groma_torch_hints ${Torch_DIR}/../../..)
  endif()
  list(APPEND groma_torch_hints ${CMAKE_PREFIX_PATH} ${groma_deps}/libtorch-2.11.0/torch)
endif()
# Looked up anew every time, so that pointing CMake elsewhere takes effect in an old build folder.
foreach(variable GROMA_TORCH_INCLUDE GROMA_TORCH_CPU GROMA_TORCH_C10 GROMA_TORCH_CUDA
                 GROMA_TORCH_C10_CUDA)
  unset(${variable} CACHE)
endforeach()
find_path(GROMA_TORCH_INCLUDE torch/csrc/api/include/torch/torch.h HINTS ${groma_torch_hints}
          PATH_SUFFIXES include NO_DEFAULT_PATH)
find_library(GROMA_TORCH_CPU torch_cpu HINTS ${groma_torch_hints} PATH_SUFFIXES lib NO_DEFAULT_PATH)
find_library(GROMA_TORCH_C10 c10 HINTS ${groma_torch_hints} PATH_SUFFIXES lib NO_DEFAULT_PATH)
if(NOT GROMA_TORCH_INCLUDE OR NOT GROMA_TORCH_CPU OR NOT GROMA_TORCH_C10)
  message(FATAL_ERROR "LibTorch not found in: ${groma_torch_hints}. Run scripts/setup.sh, which "
    "installs it, or point -DGROMA_LIBTORCH at a folder that holds LibTorch's include/ and lib/.")
endif()

set(groma_version_header ${GROMA_TORCH_INCLUDE}/torch/headeronly/version.h)  # since 2.9
if(NOT EXISTS ${groma_version_header})
  set(groma_version_header ${GROMA_TORCH_INCLUDE}/torch/csrc/api/include/torch/version.h)
endif()
file(STRINGS ${groma_version_header} groma_torch_version
     REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
list(TRANSFORM groma_torch_version REPLACE ".* " "")
list(JOIN groma_torch_version "." groma_torch_version)
get_filename_component(groma_torch_lib ${GROMA_TORCH_CPU} DIRECTORY)
message(STATUS "LibTorch ${groma_torch_version}: ${groma_torch_lib}")
if(groma_torch_version VERSION_LESS 2.9)
  message(WARNING "LibTorch ${groma_torch_version} is older than 2.9; 2.11.0 is the tested version.")
endif()

add_library(groma_libtorch INTERFACE)
target_include_directories(groma_libtorch SYSTEM INTERFACE
  ${GROMA_TORCH_INCLUDE} ${GROMA_TORCH_INCLUDE}/torch/csrc/api/include)
target_compile_definitions(groma_libtorch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
target_link_libraries(groma_libtorch INTERFACE ${GROMA_TORCH_CPU} ${GROMA_TORCH_C10})
# Without OpenMP at::parallel_for, which is a header, silently runs on one thread.
find_package(OpenMP REQUIRED COMPONENTS CXX)
target_compile_options(groma_libtorch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${OpenMP_CXX_FLAGS}>)
# The wheel brings its own libgomp: linking that one keeps a second thread pool out of the process.
file(GLOB groma_gomp ${groma_torch_lib}/libgomp*.so*)
if(groma_gomp)
  list(GET groma_gomp 0 groma_gomp)
  target_link_libraries(groma_libtorch INTERFACE ${groma_gomp})
else()
  target_link_libraries(groma_libtorch INTERFACE ${OpenMP_CXX_LIBRARIES})
endif()
# libtorch_cpu of a CUDA wheel finds libcudart and libcupti through its own RPATH.
target_link_options(groma_libtorch INTERFACE -Wl,--unresolved-symbols=ignore-in-shared-libs)

# CUDA: a compiler, and a LibTorch that has it. AUTO also asks that the CUDA libraries which
# libtorch_cuda loads are there, since a program linked to it could not start without them.
set(GROMA_WITH_CUDA OFF)
set(groma_no_cuda "GROMA_CUDA is OFF")
if(NOT GROMA_CUDA STREQUAL "OFF")
  find_library(GROMA_TORCH_CUDA torch_cuda HINTS ${groma_torch_lib} NO_DEFAULT_PATH)
  find_library(GROMA_TORCH_C10_CUDA c10_cuda HINTS ${groma_torch_lib} NO_DEFAULT_PATH)
  if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(GROMA_NVCC nvcc PATHS /usr/local/cuda/bin)  # installed there, seldom in PATH
    if(GROMA_NVCC)
      set(CMAKE_CUDA_COMPILER ${GROMA_NVCC})
    endif()
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  set(groma_no_cuda "")
  if(NOT CMAKE_CUDA_COMPILER)
    set(groma_no_cuda "no CUDA compiler")
  elseif(NOT GROMA_TORCH_CUDA OR NOT GROMA_TORCH_C10_CUDA)
    set(groma_no_cuda "this LibTorch has no libtorch_cuda")
  elseif(GROMA_CUDA STREQUAL "AUTO")
    execute_process(COMMAND ldd ${GROMA_TORCH_CUDA} OUTPUT_VARIABLE groma_ldd ERROR_QUIET)
    if(groma_ldd MATCHES "\t([^ ]+) => not found")
      set(groma_no_cuda "libtorch_cuda needs ${CMAKE_MATCH_1}, which is missing")
    endif()
  endif()
  if(groma_no_cuda AND GROMA_CUDA STREQUAL "ON")
    message(FATAL_ERROR "GROMA_CUDA=ON: ${groma_no_cuda}. Install the CUDA 13.0 toolkit and a CUDA "
      "LibTorch (scripts/setup.sh --cuda), or use -DGROMA_CUDA=OFF.")
  endif()
endif()
if(groma_no_cuda)
  message(STATUS "CUDA kernels: no (${groma_no_cuda})")
  return()
endif()

set(GROMA_WITH_CUDA ON)
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90)  # 90 also keeps PTX for later devices
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
set(CMAKE_CUDA_STANDARD 17)  # CMake 3.25 knows no later one for nvcc
target_link_libraries(groma_libtorch INTERFACE
  -Wl,--no-as-needed ${GROMA_TORCH_CUDA} ${GROMA_TORCH_C10_CUDA} -Wl,--as-needed CUDA::cudart)
target_compile_definitions(groma_libtorch INTERFACE GROMA_WITH_CUDA)
message(STATUS "CUDA kernels: for ${CMAKE_CUDA_ARCHITECTURES}")
