# What published images are called. docker/image.json is the one place that says it: read here for the programs, and by
# docker/build.py for the recipes, the workflow and the documents. The owner may be another: -DLLEM_IMAGE_OWNER=…, or the
# environment variable of that name.
set(image_file "${PROJECT_SOURCE_DIR}/docker/image.json")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${image_file}")
file(READ "${image_file}" image_text)
string(JSON image_name GET "${image_text}" name)
string(JSON image_owner GET "${image_text}" owner)
if(DEFINED ENV{LLEM_IMAGE_OWNER} AND NOT "$ENV{LLEM_IMAGE_OWNER}" STREQUAL "")
    set(image_owner "$ENV{LLEM_IMAGE_OWNER}")
endif()
set(LLEM_IMAGE_OWNER "${image_owner}" CACHE STRING "Whose published images a bare `docker` means")
string(REPLACE "{owner}" "${LLEM_IMAGE_OWNER}" LLEM_IMAGE_NAME "${image_name}")
