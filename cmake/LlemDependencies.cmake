# Every dependency has its reason in docs/architecture.md. Libraries that rooms of llem-worker use come in two flavours:
# shared for everything, static for a program whose property LLEM_STATIC is on (llem-worker must start inside foreign
# engine images, with nothing but their libc).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(GLIB REQUIRED IMPORTED_TARGET glib-2.0>=2.68)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(SMARTCOLS REQUIRED IMPORTED_TARGET smartcols)
find_path(LLEM_BOOST_INCLUDE boost/math/distributions/students_t.hpp REQUIRED)
find_path(LLEM_EIGEN_INCLUDE Eigen/Dense PATH_SUFFIXES eigen3 REQUIRED)

# llem_library(NAME PREFIX): target llem_NAME over pkg-config's PREFIX, in the flavour its user asks for.
function(llem_library NAME PREFIX)
    set(archives)
    foreach(lib IN LISTS ${PREFIX}_STATIC_LIBRARIES)
        find_library(LLEM_ARCHIVE_${lib} NAMES lib${lib}.a HINTS ${${PREFIX}_STATIC_LIBRARY_DIRS})
        if(LLEM_ARCHIVE_${lib} AND NOT lib MATCHES "^(m|pthread|dl|rt|c)$")
            list(APPEND archives ${LLEM_ARCHIVE_${lib}})
        endif()
    endforeach()
    add_library(llem_${NAME}_static INTERFACE)
    target_link_libraries(llem_${NAME}_static INTERFACE ${archives} m Threads::Threads)
    add_library(llem_${NAME} INTERFACE)
    target_include_directories(llem_${NAME} SYSTEM INTERFACE ${${PREFIX}_INCLUDE_DIRS})
    target_compile_options(llem_${NAME} INTERFACE ${${PREFIX}_CFLAGS_OTHER})
    target_link_libraries(llem_${NAME} INTERFACE
        "$<IF:$<BOOL:$<TARGET_PROPERTY:LLEM_STATIC>>,llem_${NAME}_static,PkgConfig::${PREFIX}>")
endfunction()
llem_library(glib GLIB)
llem_library(jansson JANSSON)
llem_library(yaml YAML)
llem_library(zlib ZLIB)

add_library(llem_deps INTERFACE)
target_link_libraries(llem_deps INTERFACE llem_flags llem_glib llem_jansson m Threads::Threads)
