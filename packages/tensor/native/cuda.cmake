# libmagi_tensor_cuda, where a CUDA compiler is found, unless MAGI_ATTENTION_CUDA=0 is in the environment. It needs neither a GPU
# to be built nor one to be loaded.
set(MAGI_BUILD_CUDA AUTO CACHE STRING "Build the CUDA library: ON, OFF, or AUTO where nvcc is found")
set(MAGI_CUDA_ARCHITECTURES "$ENV{MAGI_ATTENTION_CUDA_ARCHITECTURES}" CACHE STRING "GPUs to compile for")
if(MAGI_CUDA_ARCHITECTURES STREQUAL "")
  set(MAGI_CUDA_ARCHITECTURES "80;90-real") # 80 brings PTX, which any later GPU takes
endif()

if(MAGI_BUILD_CUDA STREQUAL "AUTO" AND NOT "$ENV{MAGI_ATTENTION_CUDA}" STREQUAL "")
  set(MAGI_BUILD_CUDA $ENV{MAGI_ATTENTION_CUDA})
endif()
if(NOT MAGI_BUILD_CUDA OR NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  return()
endif()
include(CheckLanguage)
set(CMAKE_CUDA_ARCHITECTURES "${MAGI_CUDA_ARCHITECTURES}")
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(NOT MAGI_BUILD_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "MAGI_BUILD_CUDA is ${MAGI_BUILD_CUDA}, but there is no nvcc. Put it on the PATH, or set CUDACXX.")
  endif()
  message(STATUS "No CUDA compiler was found: the CUDA library is not built. Put nvcc on the PATH, or set CUDACXX.")
  return()
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)

add_library(magi_tensor_cuda SHARED
  src/cuda/cast.cu
  src/cuda/cublas.cpp
  src/cuda/device.cpp
  src/cuda/elementwise.cu
  src/cuda/fill.cu
  src/cuda/index_add.cu
  src/cuda/matmul.cpp
  src/cuda/memory.cpp
  src/cuda/random.cu
  src/cuda/reduce.cu
  src/cuda/rows.cu
  src/cuda/stream.cpp)
target_include_directories(magi_tensor_cuda PRIVATE include)
# The runtime is linked statically and looks the driver up when it is first used.
target_link_libraries(magi_tensor_cuda PRIVATE CUDA::cudart_static Threads::Threads ${CMAKE_DL_LIBS})
set_target_properties(magi_tensor_cuda PROPERTIES
  CUDA_RUNTIME_LIBRARY Static
  CXX_VISIBILITY_PRESET hidden
  CUDA_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON)
# Without contraction into fused multiply-add the GPU gives the bits of the CPU.
target_compile_options(magi_tensor_cuda PRIVATE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>
  $<$<COMPILE_LANGUAGE:CUDA>:--fmad=false -Xcompiler=-Wall,-Wextra>)
target_link_options(magi_tensor_cuda PRIVATE -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL -Wl,--gc-sections)
install(TARGETS magi_tensor_cuda LIBRARY DESTINATION .)
