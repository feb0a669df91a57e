# Build options, the warning set and hardening flags.
option(LLEM_WERROR "Treat warnings as errors (set in CI)" OFF)
option(LLEM_COVERAGE "Instrument for gcov" OFF)
set(LLEM_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. 'address,undefined' or 'thread'")
set(LLEM_LLAMA_PREFIX "" CACHE PATH "Prefix of libllama (include/llama.h, lib/libllama.so); empty: skip the llama.cpp adapter")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

add_library(llem_flags INTERFACE)
target_compile_definitions(llem_flags INTERFACE
    _GNU_SOURCE GLIB_VERSION_MIN_REQUIRED=GLIB_VERSION_2_68
    GLIB_VERSION_MAX_ALLOWED=GLIB_VERSION_2_68)
target_include_directories(llem_flags INTERFACE "${PROJECT_SOURCE_DIR}/src")
target_compile_options(llem_flags INTERFACE
    -Wall -Wextra -Wshadow -Wpointer-arith -Wwrite-strings
    # clang's cast-qual looks into GLib's macros; a variable that only frees itself is unused to it; {0} lacks fields.
    $<$<C_COMPILER_ID:GNU>:-Wcast-qual>
    $<$<C_COMPILER_ID:Clang>:-Wno-unused-variable -Wno-missing-field-initializers>
    -Wundef -Wformat=2
    -Wnull-dereference -Wimplicit-fallthrough -Wvla
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition>
    $<$<BOOL:${LLEM_WERROR}>:-Werror>
    -fno-omit-frame-pointer -fstack-protector-strong)
target_link_options(llem_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,--as-needed)
if(LLEM_SANITIZE)
    target_compile_options(llem_flags INTERFACE -fsanitize=${LLEM_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(llem_flags INTERFACE -fsanitize=${LLEM_SANITIZE})
else()
    target_compile_definitions(llem_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
endif()
if(LLEM_COVERAGE)
    target_compile_options(llem_flags INTERFACE --coverage)
    target_link_options(llem_flags INTERFACE --coverage)
endif()
