# SPDX-License-Identifier: MIT
# cmake -DFROM=LIBDIR -DTO=FOLDER -P libraries.cmake
#   Lays libllama, ggml with its back ends, and what they link into one folder: all that a container needs of this
#   machine. Left out are the C library, which every image has, and what belongs to a GPU: the driver is the host's, and
#   CUDA is hundreds of megabytes that an image for it has.
cmake_minimum_required(VERSION 3.22)

file(GLOB own "${FROM}/libllama.so*" "${FROM}/libggml*.so*")
set(whole)
foreach(library IN LISTS own)
    if(NOT IS_SYMLINK "${library}")
        list(APPEND whole "${library}")
    endif()
endforeach()

set(glibc "^ld-linux|^lib(c|m|dl|rt|pthread|resolv|util|mvec|BrokenLocale|anl|nss_.*)\\.so")
set(gpu "^lib(cuda|cudart|cublas|cublasLt|nvrtc.*|nvJitLink|nccl|nvidia.*|cu.*|amdhip64|hip.*|roc.*|vulkan|OpenCL)\\.so")
file(GET_RUNTIME_DEPENDENCIES LIBRARIES ${whole} DIRECTORIES "${FROM}"
    PRE_EXCLUDE_REGEXES "${glibc}" "${gpu}" "^lib(llama|ggml.*)\\.so"
    RESOLVED_DEPENDENCIES_VAR linked UNRESOLVED_DEPENDENCIES_VAR missing)
if(missing)
    message(FATAL_ERROR "the libraries of ${FROM} link what is not on this machine: ${missing}")
endif()

file(REMOVE_RECURSE "${TO}")
file(COPY ${own} ${linked} DESTINATION "${TO}" FOLLOW_SYMLINK_CHAIN)

# A library that names the folder it came from would take what lies there, and find nothing in a container.
file(GLOB copies "${TO}/lib*.so*")
foreach(copy IN LISTS copies)
    if(IS_SYMLINK "${copy}")
        continue()
    endif()
    file(READ_ELF "${copy}" RPATH rpath RUNPATH runpath CAPTURE_ERROR failed)
    foreach(path IN ITEMS "${rpath}" "${runpath}")
        string(REPLACE "${FROM}" "$ORIGIN" here "${path}")
        if(path AND NOT here STREQUAL path)
            file(RPATH_CHANGE FILE "${copy}" OLD_RPATH "${path}" NEW_RPATH "${here}")
        endif()
    endforeach()
endforeach()
