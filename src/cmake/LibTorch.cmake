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
find_path(GROMA_TORCH_INCLUDE torch/csrc/api/include/torch/torch.h HINTS ${groma_torch_hints}
          PATH_SUFFIXES include NO_DEFAULT_PATH)
find_library(GROMA_TORCH_CPU torch_cpu HINTS ${groma_torch_hints} PATH_SUFFIXES lib NO_DEFAULT_PATH)
find_library(GROMA_TORCH_C10 c10 HINTS ${groma_torch_hints} PATH_SUFFIXES lib NO_DEFAULT_PATH)
if(NOT GROMA_TORCH_INCLUDE OR NOT GROMA_TORCH_CPU OR NOT GROMA_TORCH_C10)
  message(FATAL_ERROR "LibTorch not found in: ${groma_torch_hints}. Run scripts/setup.sh, which "
    "installs it, or point -DGROMA_LIBTORCH at a folder that holds LibTorch's include/ and lib/.")
endif()

file(STRINGS ${GROMA_TORCH_INCLUDE}/torch/headeronly/version.h groma_torch_version
     REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
list(TRANSFORM groma_torch_version REPLACE ".* " "")
list(JOIN groma_torch_version "." groma_torch_version)
get_filename_component(groma_torch_lib ${GROMA_TORCH_CPU} DIRECTORY)
message(STATUS "LibTorch ${groma_torch_version}: ${groma_torch_lib}")

add_library(groma_libtorch INTERFACE)
target_include_directories(groma_libtorch SYSTEM INTERFACE
  ${GROMA_TORCH_INCLUDE} ${GROMA_TORCH_INCLUDE}/torch/csrc/api/include)
target_compile_definitions(groma_libtorch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
target_link_libraries(groma_libtorch INTERFACE ${GROMA_TORCH_CPU} ${GROMA_TORCH_C10})
# libtorch_cpu of a CUDA wheel finds libcudart and libcupti through its own RPATH.
target_link_options(groma_libtorch INTERFACE -Wl,--unresolved-symbols=ignore-in-shared-libs)

set(GROMA_WITH_CUDA OFF)
if(NOT GROMA_CUDA STREQUAL "OFF")
  find_library(GROMA_TORCH_CUDA torch_cuda HINTS ${groma_torch_hints} PATH_SUFFIXES lib NO_DEFAULT_PATH)
  find_library(GROMA_TORCH_C10_CUDA c10_cuda HINTS ${groma_torch_hints} PATH_SUFFIXES lib NO_DEFAULT_PATH)
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER AND GROMA_TORCH_CUDA AND GROMA_TORCH_C10_CUDA)
    if(NOT CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80-real 90)  # 90 also keeps PTX for later devices
    endif()
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    set(CMAKE_CUDA_STANDARD 20)
    set(GROMA_WITH_CUDA ON)
    target_link_libraries(groma_libtorch INTERFACE
      -Wl,--no-as-needed ${GROMA_TORCH_CUDA} ${GROMA_TORCH_C10_CUDA} -Wl,--as-needed CUDA::cudart)
    target_compile_definitions(groma_libtorch INTERFACE GROMA_WITH_CUDA)
  elseif(GROMA_CUDA STREQUAL "ON")
    message(FATAL_ERROR "GROMA_CUDA=ON: found CUDA compiler '${CMAKE_CUDA_COMPILER}' and libtorch_cuda "
      "'${GROMA_TORCH_CUDA}'; both are needed. Install the CUDA 13.0 toolkit and a CUDA LibTorch "
      "(scripts/setup.sh --cuda), or use -DGROMA_CUDA=OFF.")
  endif()
endif()
message(STATUS "CUDA kernels: ${GROMA_WITH_CUDA}")
